"""From `ray up` to `ray down` on three hosts, one of which is cut off in the middle of a campaign.

PostgreSQL, the driver and the trainer are on the head, a student is on each of the two workers. The cluster file is the
one that ships: the hosts have the addresses, the user and the key that are in it. What differs is said in `rendered`.
"""

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from .. import tiny
from ..whole_run import write_config
from .hosts import ROOT, SHARED, USER, Host, hosts, lacking

pytestmark = pytest.mark.timeout(600)  # of all that the first test waits for
RAY = ROOT / ".venv" / "bin" / "ray"
PLAN = yaml.safe_load((ROOT / "ray_cluster.yaml").read_text(encoding="utf-8"))
HEAD: str = PLAN["provider"]["head_ip"]
WORKERS: list[str] = PLAN["provider"]["worker_ips"]
DIALOGUES = 14
ROOM = {"head_start_ray_commands": ("trainer", 2), "worker_start_ray_commands": ("student", 1)}
"""What the hosts of each kind have: a resource of their own, and CPUs."""


@dataclass
class Cluster:
    """The hosts, with Ray on three of them, and a database."""

    desk: Host
    """Where a person sits; no part of the cluster."""
    head: Host
    workers: list[Host]
    database: str

    def ray(self, *arguments: str, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """A command of Ray's at the desk, with the cluster file."""
        return self.desk.run(
            RAY, *arguments, timeout=timeout, RAY_UP_enable_autoscaler_v2="0", RAY_USAGE_STATS_ENABLED="0"
        )

    def on_head(self, script: str) -> list[str]:
        """The command that carries a script out on the head, as a person there would type it."""
        return self.over_ssh(self.head, f"source ~/.bashrc; {script}")

    def over_ssh(self, host: Host, script: str) -> list[str]:
        """The command that carries a script out on a host, over ssh from the desk."""
        ssh = ("ssh", "-q", "-o", "StrictHostKeyChecking=no", "-o", "ServerAliveInterval=15")
        return self.desk.command(*ssh, f"{USER}@{host.address}", script)

    def carried_out(self, script: str) -> str:
        """What a script on the head said."""
        done = subprocess.run(self.on_head(script), check=False, capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def select(self, query: str) -> list[dict[str, Any]]:
        """Rows of the store, asked for at the desk."""
        asked = f"SELECT coalesce(json_agg(row_to_json(found)), '[]') FROM ({query}) found"
        done = self.desk.run("psql", "-XAtq", "-d", self.database, "-c", asked)
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def count(self, table: str, condition: str) -> int:
        """How many rows of a table are so."""
        return len(self.select(f"SELECT 1 FROM {table} WHERE {condition}"))

    def has(self, table: str) -> bool:
        """Whether the store has that table yet."""
        return bool(self.select(f"SELECT 1 FROM information_schema.tables WHERE table_name = '{table}'"))


def wait_until(holds: Callable[[], bool], what: str, *, timeout: float = 120) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"not in {timeout:g} s: {what}"
        time.sleep(0.3)


def rendered() -> str:
    """The cluster file for these hosts.

    openmic is not installed, because ~/openmic is this repository with its environment, and each host has few CPUs and
    little memory for objects, as all of them are one machine. Only what is run there is changed.
    """
    plan = {**PLAN, "setup_commands": [command for command in PLAN["setup_commands"] if "make" not in command]}
    for commands, (resource, cpus) in ROOM.items():
        flags = f"--num-cpus={cpus} --object-store-memory=100000000 --resources='{{\"{resource}\": 1}}'"
        plan[commands] = [command.replace("ray start", f"ray start {flags}") for command in plan[commands]]
    return yaml.safe_dump(plan, width=1000)


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("share")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, share: Path) -> Iterator[Cluster]:
    """Three hosts after `ray up`, all of which have joined."""
    why = lacking()
    assert why is None, f"the test of a cluster cannot be run here: {why}"
    names = ["head", "worker-1", "worker-2"]
    addresses = {"desk": HEAD.rpartition(".")[0] + ".9", **dict(zip(names, [HEAD, *WORKERS], strict=True))}
    with hosts(addresses, tmp_path_factory.mktemp("hosts"), share) as up, database(up["head"]) as url:
        found = Cluster(up["desk"], up["head"], [up["worker-1"], up["worker-2"]], url)
        (share / "cluster.yaml").write_text(rendered(), encoding="utf-8")
        assert found.ray("get-auth-token", "--generate").returncode == 0
        began = found.ray("up", "--yes", f"{SHARED}/cluster.yaml")
        assert began.returncode == 0, began.stdout + began.stderr
        wait_until(lambda: nodes(found) == 3, "`ray status` counts three machines")
        yield found


@contextmanager
def database(head: Host) -> Iterator[str]:
    """A database on the head."""
    command = head.command(ROOT / ".venv/bin/python", "-m", "tests.cluster.database", head.address)
    at_root = [str(ROOT) if part == "/tmp/home" else part for part in command]
    with subprocess.Popen(at_root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        assert url.startswith("postgresql://"), "PostgreSQL did not start"
        yield url
        assert server.stdin is not None
        server.stdin.close()


def nodes(cluster: Cluster) -> int:
    """How many machines `ray status` counts."""
    active, _, _ = cluster.carried_out("ray status").partition("Pending:")
    return sum(int(count) for count in re.findall(r"^ (\d+) local\.cluster\.node$", active, re.MULTILINE))


@dataclass(frozen=True)
class Campaign:
    """A campaign during which a worker host was cut off."""

    code: int
    said: str
    status: dict[str, Any]
    finished_before: int
    """Dialogues that were over when the host was cut off."""
    turns_before: list[dict[str, Any]]
    turns: list[dict[str, Any]]
    dialogues: list[dict[str, Any]]
    adapters: list[dict[str, Any]]


@pytest.fixture(scope="module")
def config(cluster: Cluster, share: Path) -> Path:
    """The campaign's configuration, in the folder that all hosts see."""
    tokenizer = tiny.causal_tokenizer()
    tiny.save(tiny.llama(tokenizer), tokenizer, share / "student")
    config = write_config(
        share,
        SHARED / "student",
        student={
            "sampling": {"max_tokens": 16},
            "pool": {"actors": 2, "resources": {"student": 1}},
        },
        training={"epochs": 1, "threads": 1, "resources": {"trainer": 1}},
        imitation={"inputs": 4, "demonstrations": 2, "epochs": 1},
        dialogue={"inputs": DIALOGUES, "candidates": 3, "concurrency": 3},
        cast={"simulated": {"latency_s": 0.3}},
    )
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    values |= {"home": str(SHARED / "data"), "store": cluster.database, "storage_uri": f"{SHARED}/adapters"}
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    return config


@pytest.fixture(scope="module")
def campaign(cluster: Cluster, share: Path, config: Path) -> Campaign:
    """A whole run, and a worker host less from the middle of its dialogues on."""
    run = cluster.on_head(f"cd {SHARED} && openmic run {config.name} --cluster auto --json")
    with (
        (share / "said").open("w") as stderr,
        subprocess.Popen(run, stdout=subprocess.PIPE, stderr=stderr, text=True) as driver,
    ):

        def in_the_middle() -> bool:
            assert driver.poll() is None, (share / "said").read_text(encoding="utf-8")
            both = cluster.select("SELECT DISTINCT worker FROM turn WHERE agent = 'student'")
            return len(both) == 2 and cluster.count("dialogue", "status = 'finished' AND stage = 'collect'") >= 3

        wait_until(lambda: cluster.has("turn"), "the store has tables")
        wait_until(in_the_middle, "both students have spoken, and some dialogues are over")
        cluster.workers[1].unplug()
        before = cluster.select("SELECT * FROM turn ORDER BY id")
        finished_before = cluster.count("dialogue", "status = 'finished' AND stage = 'collect'")
        cluster.workers[1].power_off()
        stdout, _ = driver.communicate(timeout=240)
    said = (share / "said").read_text(encoding="utf-8")
    assert driver.returncode == 0, said
    return Campaign(
        code=driver.returncode,
        said=said,
        status=json.loads(stdout),
        finished_before=finished_before,
        turns_before=before,
        turns=cluster.select("SELECT * FROM turn ORDER BY dialogue_id, seq"),
        dialogues=cluster.select("SELECT * FROM dialogue"),
        adapters=cluster.select("SELECT * FROM adapter ORDER BY version"),
    )


@pytest.mark.usefixtures("config")
def test_ray_up_leaves_a_cluster_that_lets_nobody_in_without_the_token(cluster: Cluster) -> None:
    said = cluster.carried_out(f"cd {SHARED}; HOME=/nowhere openmic run config.yaml --cluster auto")
    assert "wants a token" in said
    assert not cluster.has("turn"), "a run that was refused is not recorded"


def test_the_run_goes_on_without_the_host_that_was_cut_off(campaign: Campaign, cluster: Cluster) -> None:
    assert campaign.code == 0, campaign.said
    assert campaign.status["status"] == "finished"
    assert campaign.status["dialogues"] == {"finished": DIALOGUES, "failed": 0, "pending": 0}
    assert 3 <= campaign.finished_before < DIALOGUES, "the host was not cut off in the middle"
    wait_until(lambda: nodes(cluster) == 2, "`ray status` counts two machines")


def test_no_turn_is_lost_doubled_or_changed(campaign: Campaign) -> None:
    places = Counter((turn["dialogue_id"], turn["seq"]) for turn in campaign.turns)
    assert set(places.values()) == {1}
    now = {turn["id"]: turn for turn in campaign.turns}
    by_dialogue: dict[str, list[dict[str, Any]]] = {}
    for turn in campaign.turns:
        by_dialogue.setdefault(turn["dialogue_id"], []).append(turn)
    for dialogue in campaign.dialogues:
        assert dialogue["status"] == "finished", dialogue
        turns = by_dialogue[dialogue["id"]]
        assert [turn["seq"] for turn in turns] == list(range(len(turns))), "a turn is missing"
        assert all(turn["parent_turn_id"] in {None, *now} for turn in turns)
        if dialogue["stage"] == "collect":
            assert Counter(turn["kind"] for turn in turns)["draft"] == 3
            assert dialogue["final_turn_id"] in {turn["id"] for turn in turns}
    for turn in campaign.turns_before:
        assert now[turn["id"]] == turn


def test_both_hosts_worked_before_and_one_alone_afterwards(campaign: Campaign) -> None:
    known = {turn["id"] for turn in campaign.turns_before}
    spoken = [turn for turn in campaign.turns if turn["agent"] == "student"]
    before = {turn["worker"].split("/")[0] for turn in spoken if turn["id"] in known}
    assert before == {"worker-1", "worker-2"}
    last = max(turn["created_at"] for turn in spoken if turn["worker"].startswith("worker-2/"))
    after = {turn["worker"].split("/")[0] for turn in spoken if turn["created_at"] > last}
    assert after == {"worker-1"}


def test_the_round_was_trained_on_and_its_adapter_reached_the_student_that_was_left(campaign: Campaign) -> None:
    assert [row["version"] for row in campaign.adapters] == [0, 1, 2]
    assert all(str(row["uri"]).startswith(f"{SHARED}/adapters") for row in campaign.adapters[1:])
    assert campaign.status["gain"] is not None
    served = {turn["adapter_version"] for turn in campaign.turns if turn["worker"] and "worker-1/" in turn["worker"]}
    assert {1, 2} <= served


def test_ray_down_and_ray_stop_leave_no_process_behind(cluster: Cluster) -> None:
    done = cluster.ray("down", "--yes", f"{SHARED}/cluster.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    left = [host for host in cluster.workers if host.on]
    for host in left:  # `ray down` stops the head alone
        stop = cluster.over_ssh(host, "openmic/.venv/bin/ray stop")
        done = subprocess.run(stop, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for host in (cluster.head, *left):
        assert not ray_processes(host)


def ray_processes(host: Host) -> list[str]:
    return [process for process in host.processes() if "/ray/" in process or process.startswith("ray::")]
