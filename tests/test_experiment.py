"""A whole experiment with a tiny student: killed in the middle, gone on with, changed, and reported on."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import openmic
from openmic.store import Evaluation, LLMCall, Run, Store, Training

from .whole_run import clean_environment, openmic_here, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SOURCES = ("candidates", "revisions", "teacher_over_student")
ARMS: dict[str, Any] = {
    "FT": {"of": "DPO", "version": "imitation"},
    "DPO": {"set": {"training.objective": "dpo"}},
    "SD": {"train_on": "DPO", "set": {"training.objective": "sd"}},
    "teacher": {"of": "DPO", "version": "base", "set": {"evaluation.speaker": "teacher"}},
    "nothing": {"train_on": "DPO", "set": {"preferences": dict.fromkeys(SOURCES, False)}},
}


def write_experiment(folder: Path, student: Path, arms: dict[str, Any] = ARMS, seeds: Sequence[int] = (1,)) -> Path:
    if not (folder / "config.yaml").exists():
        write_config(folder, student, dialogue={"inputs": 4, "candidates": 2})
    path = folder / "experiment.yaml"
    spec = {"name": "tiny table", "config": "config.yaml", "seeds": [*seeds], "arms": arms}
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def killed(tiny_causal: Path, ray_running: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """An experiment that was killed, and was carried out to its end by the same command."""
    folder = tmp_path_factory.mktemp("killed")
    path = write_experiment(folder, tiny_causal)
    refused = kill_when(path, "dialogues")
    assert refused.returncode == 2
    assert re.search(r"is carrying out experiment 'tiny table' with seed 1 \(process \d+ on ", refused.stderr)
    done = openmic_here("experiment", str(path), "--json", "--out", "report", "--no-check", cwd=folder)
    assert done.returncode == 3, done.stderr
    assert (
        f"failed: nothing (seed 1); to try again:\n  openmic experiment {path} --out report --no-check --seed 1\n"
        in done.stderr
    )
    return folder, json.loads(done.stdout)


def kill_when(path: Path, said: str) -> subprocess.CompletedProcess[str]:
    """Start the experiment in a process of its own, and kill it with all it started when it says something.

    Returns:
        What the same command came to just before.
    """
    log = path.with_name("log.txt")
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "openmic", "experiment", str(path)],
            cwd=path.parent, env=clean_environment(), stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        while said not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        meanwhile = openmic_here("experiment", str(path), cwd=path.parent)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return meanwhile


def table(results: dict[str, Any]) -> list[Any]:
    """What a reader sees of every arm, without what depends on how long it took."""
    rows = json.loads(json.dumps(results["arms"]))  # whose keys are texts
    return [[row["arm"], row["seeds_done"], row["judge"], row["texts"], row["gain"]] for row in rows]


def test_killed_it_gives_the_table_of_one_that_was_not(
    killed: tuple[Path, Any], tiny_causal: Path, tmp_path: Path
) -> None:
    path = write_experiment(tmp_path, tiny_causal)
    found = openmic.experiment(path, {"home": str(tmp_path / "home")}, progress=False)
    assert table(found.results()) == table(killed[1])


def test_seeds_carried_out_side_by_side_give_the_table_of_one_after_the_other(
    tiny_causal: Path, ray_running: None, tmp_path: Path
) -> None:
    arms = {name: ARMS[name] for name in ("FT", "DPO", "SD")}
    for name in ("apart", "together"):
        (tmp_path / name).mkdir()
        write_experiment(tmp_path / name, tiny_causal, arms, seeds=[1, 2])
    apart = tmp_path / "apart"
    command = [sys.executable, "-m", "openmic", "experiment", "experiment.yaml", "--seed"]
    first = subprocess.Popen(
        [*command, "2"],
        cwd=apart,
        env=clean_environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    second = openmic_here("experiment", "experiment.yaml", "--seed", "1", "--json", cwd=apart)
    assert second.returncode == 0, second.stderr
    told = first.communicate(timeout=300)[1]
    assert first.returncode == 0, told
    assert sum("left to be done" in one for one in (told, second.stderr)) <= 1
    whole = openmic_here("experiment", "experiment.yaml", "--json", cwd=apart)
    assert (whole.returncode, "every arm is done already" in whole.stderr) == (0, True), whole.stderr
    found = openmic.experiment(
        tmp_path / "together" / "experiment.yaml", {"home": str(tmp_path / "home")}, progress=False
    )
    assert table(found.results()) == table(json.loads(whole.stdout))


def test_arms_that_fail_are_named_and_the_others_are_whole(killed: tuple[Path, Any]) -> None:
    results = killed[1]
    assert [(one["arm"], one["seed"]) for one in results["failed"]] == [("nothing", 1)]
    assert "cannot be learned from" in results["failed"][0]["error"]
    done = {row["arm"]: row["seeds_done"] for row in results["arms"]}
    assert done == {name: [] if name == "nothing" else [1] for name in ARMS}
    judged = {row["arm"]: row["judge"] for row in results["arms"] if row["judge"]}
    assert all(one["inputs"] == one["win"] + one["tie"] + one["loss"] for one in judged.values())
    assert all(one["critic"] is not None for one in judged.values())
    gains = {row["arm"]: row["gain"] for row in results["arms"]}
    assert gains["FT"] is None
    assert gains["SD"]["p_corrected"] >= gains["SD"]["p"]


def test_nothing_is_made_or_paid_for_twice_and_test_inputs_come_last(killed: tuple[Path, Any]) -> None:
    folder, results = killed
    with Store.open_readonly(str(folder / "openmic-data" / "openmic.db")) as store:
        runs = store.select(Run, experiment="tiny table")
        assert sorted((str(run.arm), run.seed) for run in runs) == sorted((arm, 1) for arm in ARMS if arm != "FT")
        paid = [call.key for call in store.select(LLMCall) if call.reused_from is None]
        assert len(paid) == len(set(paid))
        made = max(run.finished_at for run in store.select(Training) if run.finished_at is not None)
        looked = min(row.created_at for row in store.select(Evaluation, split="test"))
        assert made <= looked
    assert {path.name for path in (folder / "report").iterdir()} == {"report.html", "report.md", "results.json"}
    written = json.loads((folder / "report" / "results.json").read_text())
    assert table(written) == table(results)


def test_the_same_file_again_does_nothing_and_a_changed_one_what_is_different(killed: tuple[Path, Any]) -> None:
    folder, results = killed
    arms = {name: arm for name, arm in ARMS.items() if name != "nothing"}
    path = write_experiment(folder, folder, arms)
    before = (folder / "openmic-data" / "openmic.db").stat().st_size
    again = openmic_here("experiment", str(path), "--json", cwd=folder)
    assert (again.returncode, "every arm is done already" in again.stderr) == (0, True)
    assert table(json.loads(again.stdout)) == [row for row in table(results) if row[0] != "nothing"]
    assert (folder / "openmic-data" / "openmic.db").stat().st_size - before < 200_000
    path = write_experiment(folder, folder, arms | {"SD": {"train_on": "DPO", "set": {"training.objective": "simpo"}}})
    planned = openmic_here("experiment", str(path), "--dry-run", "--json", cwd=folder)
    seconds = {arm["arm"]: arm["seconds"] for arm in json.loads(planned.stdout)["arms"]}
    assert {arm for arm, left in seconds.items() if left} == {"SD"}


def test_a_report_of_the_experiment_and_of_one_of_its_runs(killed: tuple[Path, Any]) -> None:
    folder, results = killed
    page = openmic_here("report", "tiny table", "--out", "page.html", cwd=folder)
    assert page.returncode == 0, page.stderr
    text = (folder / "page.html").read_text()
    assert re.search(r"<h2>Samples.*simulated cast", text)
    assert not re.findall(r"https?:", re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL))
    run = next(row["runs"]["1"] for row in results["arms"] if row["arm"] == "DPO")
    said = openmic_here("report", run, cwd=folder)
    assert said.stdout.startswith("# Run tiny table/DPO (simulated cast)")
    assert "## Critic against judge (simulated cast)" in said.stdout
    unknown = openmic_here("report", "nothing", cwd=folder)
    assert (unknown.returncode, "experiments are tiny table" in unknown.stderr) == (2, True)
