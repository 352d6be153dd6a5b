from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.agents.endpoints import gate, waits
from openmic.agents.tasks.task import Task, load_task
from openmic.simulator import SimulatedCast, SimulatorSettings

from .scripted_endpoint import ScriptedEndpoint


@pytest.fixture(autouse=True)
def _no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def task() -> Task:
    return load_task("humor")


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as scripted:
        yield scripted


@pytest.fixture(scope="session")
def cast_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The request log of `simulated`."""
    return tmp_path_factory.mktemp("cast") / "requests.jsonl"


@pytest.fixture(scope="session")
def simulated(cast_log: Path) -> Iterator[SimulatedCast]:
    """A healthy simulated cast in a process of its own."""
    with SimulatedCast(SimulatorSettings(seed=5), log=cast_log) as cast:
        yield cast


@pytest.fixture(scope="session")
def locked() -> Iterator[SimulatedCast]:
    """A simulated cast that turns many requests away at first, gives no log-probabilities and wants a key."""
    settings = SimulatorSettings(
        seed=5, faults={"429_retry_after": 0.5, "500": 0.3}, retry_after_s=0.01, no_logprobs=True, api_key="sk-right"
    )
    with SimulatedCast(settings) as cast:
        yield cast


@pytest.fixture
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(waits, "LONGEST_BACKOFF_SECONDS", 0.05)
    monkeypatch.setattr(gate, "FIRST_INTERVAL_S", 0.01)
