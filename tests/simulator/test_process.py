import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from openmic.core.endpoints.listening import bind
from openmic.core.errors import ConfigError, EndpointLostError, EndpointSetupError
from openmic.simulator import SimulatedCast, SimulatorSettings, server

from .conftest import Serve, ask, demonstrate_body

PARENT = """
import sys, time
from openmic.simulator import SimulatedCast
cast = SimulatedCast().__enter__()
print(cast.base_url, flush=True)
time.sleep(60)
"""


def answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/models", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_the_cast_runs_while_it_is_entered(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    cast = SimulatedCast(SimulatorSettings(quality=1.0, seed=3), log=log)
    with cast:
        base_url = cast.base_url
        assert base_url.startswith("http://127.0.0.1:")
        assert base_url.endswith("/v1")
        assert cast.pid is not None
        assert os.getsid(cast.pid) != os.getsid(0)
        reply = httpx.post(f"{base_url}/chat/completions", json=demonstrate_body("The bus left the town."))
        assert "bus left the town" in reply.json()["choices"][0]["message"]["content"]
    assert not answers(base_url)
    assert json.loads(log.read_text())["status"] == 200
    with pytest.raises(EndpointSetupError, match="not running"):
        _ = cast.base_url


@pytest.mark.slow
def test_another_process_gives_the_same_reply(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    body = demonstrate_body("The bus left the town.", 5)
    with SimulatedCast(SimulatorSettings(seed=3)) as cast:
        there = httpx.post(f"{cast.base_url}/chat/completions", json=body)
    assert there.json() == ask(serve(seed=3), body)


@pytest.mark.slow
def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(EndpointLostError, match="request log") as ended:
        SimulatedCast(log=tmp_path / "no" / "folder" / "log").__enter__()
    assert ended.value.exit_code == 1  # the configuration is not at fault


def test_the_server_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        base_url = parent.stdout.readline().strip()
        assert answers(base_url)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while answers(base_url) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not answers(base_url)


def test_a_port_that_is_taken_is_named() -> None:
    with bind("127.0.0.1", 0, "the test") as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            server.serve(SimulatorSettings(), port=port)
