import os
import signal
import socket
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from openmic.core.errors import ConfigError, RayLostError
from openmic.training import local_ray
from openmic.training.local_ray import _folder as ray_folder
from openmic.training.local_ray import _signals_wait, ray_session, runs_here


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | environment
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env=variables,
        check=False,
    )


@pytest.mark.usefixtures("ray_running")
def test_a_session_that_is_there_is_used_and_left_alone() -> None:
    import ray

    before = ray.get_runtime_context().get_job_id()
    with ray_session(minimum_cpus=64):
        assert ray.get_runtime_context().get_job_id() == before
    assert ray.is_initialized()


@pytest.mark.usefixtures("ray_running")
def test_student_and_trainer_find_room_even_on_one_core() -> None:
    import ray

    assert ray.cluster_resources()["CPU"] >= 2


@pytest.mark.slow
def test_a_session_of_its_own_listens_on_loopback_alone_ends_with_the_block_and_makes_no_noise() -> None:
    done = python(
        "from openmic.training.local_ray import ray_session\n"
        "import psutil\n"
        "with ray_session(minimum_cpus=5):\n"
        "    import ray\n"
        "    print(ray.get(ray.remote(lambda: 6 * 7).remote()), ray.cluster_resources()['CPU'] >= 5)\n"
        "    own = [psutil.Process(), *psutil.Process().children(recursive=True)]\n"
        "    found = [one for process in own for one in process.net_connections('inet') if one.status == 'LISTEN']\n"
        "    print(len(found) > 5, {one.laddr.ip.removeprefix('::ffff:') for one in found})\n"
        "print(ray.is_initialized())\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "42 True\nTrue {'127.0.0.1'}\nFalse\n"
    assert done.stderr == ""


@pytest.mark.usefixtures("ray_running")
def test_a_cluster_that_the_environment_names_is_joined_and_goes_on() -> None:
    import ray

    nodes = [node["NodeID"] for node in ray.nodes()]
    done = python(
        "from openmic.training.local_ray import ray_session\n"
        "with ray_session(minimum_cpus=64):\n"
        "    import ray\n"
        "    print([node['NodeID'] for node in ray.nodes()])\n",
        RAY_ADDRESS=ray.get_runtime_context().gcs_address,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(nodes)
    assert ray.get(ray.remote(lambda: 6 * 7).remote()) == 42


@pytest.mark.usefixtures("ray_running")
def test_a_cluster_is_joined_at_the_address_that_is_given_rather_than_the_environments() -> None:
    import ray

    done = python(
        "import sys\n"
        "from openmic.training.local_ray import ray_session\n"
        f"with ray_session(address={ray.get_runtime_context().gcs_address!r}):\n"
        "    import ray\n"
        "    print(ray.nodes()[0]['NodeID'])\n",
        RAY_ADDRESS="auto",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ray.nodes()[0]["NodeID"]


def test_blocks_side_by_side_share_a_session_that_ends_with_the_last_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    running: list[str] = []
    monkeypatch.setattr(local_ray, "_OWN", type(local_ray._OWN)())  # this process may have a session of its own
    monkeypatch.setattr(ray, "is_initialized", lambda: bool(running))
    monkeypatch.setattr(ray, "init", lambda **_: running.append("begun"))
    monkeypatch.setattr(ray, "shutdown", running.clear)
    first, second = ray_session(), ray_session()
    first.__enter__()
    second.__enter__()
    assert running == ["begun"]
    first.__exit__(None, None, None)
    assert running
    with ray_session():
        pass
    assert running
    second.__exit__(None, None, None)
    assert not running
    running.append("the caller's own")
    with ray_session():
        pass
    assert running


def test_what_is_carried_out_here_alone_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert runs_here()
    assert not runs_here("auto")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert not runs_here()


def test_where_no_cluster_answers_the_error_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = pytest.raises(ConfigError, match=rf"{address}.*refused.*ray up ray_cluster\.yaml")
        with refused, ray_session(address=address):
            raise AssertionError("there was nobody to join")


@pytest.mark.parametrize("slow", [1, 2])
def test_ray_that_takes_too_long_to_start_is_started_once_more(monkeypatch: pytest.MonkeyPatch, slow: int) -> None:
    import ray
    from ray._private import services

    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    beginning = f"import subprocess, time; print(subprocess.Popen({sleeping!r}).pid, flush=True); time.sleep(60)"
    started: list[subprocess.Popen[bytes]] = []
    below: list[psutil.Process] = []
    strangers: list[subprocess.Popen[bytes]] = []

    def init(**_: Any) -> None:
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as told:
            command = [sys.executable, "-c", beginning]
            started.append(services.start_ray_process(command, "raylet", fate_share=False, stdout_file=told).process)
        with os.fdopen(reading) as heard:
            below.append(psutil.Process(int(heard.readline())))
        strangers.append(subprocess.Popen(sleeping))  # as another thread may begin one meanwhile
        if len(started) <= slow:
            raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    refused = pytest.raises(RayLostError, match=r"timed out during startup\): .*too busy.*try again")
    with refused if slow == 2 else nullcontext(), ray_session():
        pass
    try:
        assert [one.wait(timeout=60) for one in started[:slow]] == [-signal.SIGKILL] * slow
        assert not psutil.wait_procs(below[:slow], timeout=60)[1], "what Ray's processes began ends with them"
        for running in (*started[slow:], *strangers):
            assert running.poll() is None
    finally:
        for process in (*below, *started, *strangers):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for begun in (*started, *strangers):
            begun.wait()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_waits_until_ray_has_started_and_a_second_one_does_not(name: str) -> None:
    def twice(number: int) -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)

    number, heard = getattr(signal, name), list[str]()
    before = signal.signal(number, lambda *_: heard.append("obeyed"))
    try:
        with _signals_wait():
            signal.raise_signal(number)
            heard.append("started")
        assert heard == ["started", "obeyed"]
        with pytest.raises(KeyboardInterrupt), _signals_wait():
            twice(number)
        assert heard == ["started", "obeyed", "obeyed"]
        signal.signal(number, signal.SIG_IGN)
        with _signals_wait():
            signal.raise_signal(number)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


@pytest.mark.slow
def test_sigterm_stays_with_whoever_handled_it_before_ray() -> None:
    done = python(
        "import asyncio, os, signal\n"
        "from openmic.training.local_ray import ray_session\n"
        "async def main():\n"
        "    told = asyncio.Event()\n"
        "    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)\n"
        "    with ray_session():\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        await asyncio.wait_for(told.wait(), 30)\n"
        "        print('told')\n"
        "asyncio.run(main())\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "told\n", "")


@pytest.mark.slow
def test_a_session_starts_under_uv_run_with_a_long_tmpdir_and_a_proxy(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    project = tmp_path / "project" / "experiments"
    for folder in (deep, project):
        folder.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text("[project]\nname = 'p'\nversion = '1'\n")
    (project / "driver.py").write_text(
        "from openmic.training.local_ray import ray_session\n"
        "with ray_session():\n"
        "    import os, ray\n"
        "    context = ray.get_runtime_context()\n"
        "    print(context.runtime_env, ray.get(ray.remote(lambda: os.getcwd()).remote()))\n"
    )
    # Ray looks for an ancestor whose command line begins with `uv run`: this one is Python under that name.
    (project / "run").write_text("import subprocess, sys\nsys.exit(subprocess.run(sys.argv[1:]).returncode)\n")
    dead = "http://127.0.0.1:9"
    done = subprocess.run(
        ["uv", "run", sys.executable, "driver.py"],
        executable=sys.executable,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=project,
        env={name: value for name, value in os.environ.items() if name not in {"RAY_ADDRESS", "RAY_TMPDIR"}}
        | {"TMPDIR": str(deep), "HTTP_PROXY": dead, "http_proxy": dead, "ALL_PROXY": "socks://127.0.0.1:9"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{{}} {project}"


def test_rays_folder_has_a_short_path_or_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")
    assert ray_folder() == "/tmp/ray"
    monkeypatch.setenv("TMPDIR", f"/tmp/{'x' * 40}")
    assert ray_folder() == "/tmp/ray"
    monkeypatch.setenv("TMPDIR", "")
    assert ray_folder() == "/tmp/ray"
    monkeypatch.setenv("RAY_TMPDIR", "/var/tmp")
    assert ray_folder() == "/var/tmp/ray"
    monkeypatch.setattr("openmic.training.local_ray._LONGEST_FOLDER", 3)
    with pytest.raises(ConfigError, match=r"Ray cannot keep its sockets in /var/tmp or /tmp: .*set RAY_TMPDIR"):
        ray_folder()
