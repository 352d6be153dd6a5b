"""The servers, each started once for the tests that need it; SERVERS names those that are wanted, by default all."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from .environments import ENVIRONMENTS
from .serving import RealServer, running

WANTED = os.environ.get("SERVERS", "").split() or list(ENVIRONMENTS)


def wanted(name: str) -> None:
    """Leave the test out whose server is not."""
    if name not in WANTED:
        pytest.skip(f"SERVERS names {' '.join(WANTED)}, not {name}")


@pytest.fixture(scope="session", autouse=True)
def _told_to_end_they_end_the_servers() -> Iterator[None]:
    """Tests that are terminated leave their fixtures in order, as Ctrl-C has them do it, and no server is left."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module", params=list(ENVIRONMENTS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One server after the other; never two at once, as each takes all cores."""
    wanted(request.param)
    with running(request.param, tmp_path_factory.mktemp("server")) as running_server:
        yield running_server


@pytest.fixture(scope="module")
def lora_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A vLLM that takes in adapters while it runs."""
    wanted("vllm")
    with running("vllm", tmp_path_factory.mktemp("server"), adapters=True) as running_server:
        yield running_server
