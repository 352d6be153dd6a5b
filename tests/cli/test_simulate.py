import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from openmic.core.endpoints.simulated import FAULTS

from ..whole_run import clean_environment
from .conftest import Openmic


@pytest.mark.slow
def test_the_cast_runs_alone_says_how_to_use_it_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    ready, log = tmp_path / "ready", tmp_path / "requests.jsonl"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "openmic", "simulate", "--port", "0", "--ready-file", str(ready)),
            *("--log", str(log), "--quality", "1", "--seed", "3"),
        ],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        url = ready.read_text(encoding="utf-8")
        body = {"model": "sim-teacher", "messages": [{"role": "user", "content": "The kettle broke again today."}]}
        reply = httpx.post(f"{url}/chat/completions", json=body, timeout=20)
        assert "kettle" in reply.json()["choices"][0]["message"]["content"]
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0
    assert stdout == ""
    assert f"OPENAI_BASE_URL={url}" in stderr
    assert "--set cast.teacher.model=sim-teacher" in stderr
    [line] = log.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["status"] == 200


def test_a_port_that_is_taken_is_named(openmic: Openmic) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        outcome = openmic("simulate", "--port", port)
    assert outcome.code == 2
    assert f"port {port}" in outcome.err
    assert "--port" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("option", [("--quality", "1.5"), ("--flip-rate", "-1"), ("--port", "70000")])
def test_a_setting_out_of_range_is_refused(openmic: Openmic, option: tuple[str, str]) -> None:
    outcome = openmic("simulate", *option)
    assert outcome.code == 2
    assert option[0] in outcome.err


def test_a_log_that_cannot_be_written_is_named(openmic: Openmic, tmp_path: Path) -> None:
    outcome = openmic("simulate", "--port", "0", "--log", str(tmp_path / "nowhere" / "log"))
    assert outcome.code == 2
    assert "nowhere" in outcome.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("429", "'429' is not KIND=RATE, such as --fault 429=0.1"),
        ("429=often", "'429=often' is not KIND=RATE"),
        ("418=0.1", "there is no fault '418'; there are 401, 402"),
        ("500=2", "500: 2.0 is no share of requests"),
        ("500=nan", "500: nan is no share of requests"),
    ],
)
def test_a_fault_that_there_is_not_is_refused(openmic: Openmic, given: str, said: str) -> None:
    outcome = openmic("simulate", "--port", "0", "--fault", given)
    assert outcome.code == 2
    assert said in outcome.err


def test_the_help_names_every_fault(openmic: Openmic) -> None:
    shown = openmic("simulate", "--help").out
    assert all(kind in shown for kind in FAULTS)
