"""The servers, each started once for the tests that need it; SERVERS names those that are wanted, by default all."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .environments import ENVIRONMENTS
from .serving import RealServer, running

WANTED = os.environ.get("SERVERS", "").split() or list(ENVIRONMENTS)


def wanted(name: str) -> None:
    """Leave the test out whose server is not."""
    if name not in WANTED:
        pytest.skip(f"SERVERS names {' '.join(WANTED)}, not {name}")


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


@pytest.fixture(scope="session")
def tiny_student(tiny_causal: Path) -> Path:
    """A student that costs nothing, where only the cast is looked at."""
    return tiny_causal
