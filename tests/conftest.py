"""What several rooms test with, made once per session: tiny students, as ordinary folders, and a database server."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from . import postgresql, tiny

HERE = Path(__file__).parent
LONGEST = (
    "docs/test_blocks.py",
    "test_campaign.py",
    "test_kill_trainer.py",
    "test_budget.py",
    "test_derived.py",
    "test_kill_student.py",
    "test_objectives.py",
    "benchmarks/test_train_benchmark.py",
    "training/trainer/test_trainer.py",
    "cli/test_run.py",
    "training/trainer/test_workers.py",
    "browser/test_hostile.py",
    "test_api.py",
)
"""The files that take longest, longest first."""
SLOW_FOLDERS = (HERE / "benchmarks", HERE / "browser")
SLOW_FIXTURES = {"ray_running", "server", "run", "campaign", "wheel"}
"""They start Ray, a database server, a whole run, a build."""


def pytest_sessionstart() -> None:
    """Tests that a shell began in the background ignore Ctrl-C, and so would every command they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: were it last, one process would work on it while the others had nothing to do.

    What `make test-fast` leaves out is marked as slow here, by what it needs; other tests are where they stand.
    """
    place = {HERE / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
    for item in items:
        if item.path.parent in SLOW_FOLDERS or _needs(item) & (SLOW_FIXTURES | {"postgresql"}):
            item.add_marker(pytest.mark.slow)


def _needs(item: pytest.Item) -> set[str]:
    """The fixtures of a test, and what its parameters name."""
    values = item.callspec.params.values() if isinstance(item, pytest.Function) and hasattr(item, "callspec") else ()
    return {*getattr(item, "fixturenames", ()), *(value for value in values if isinstance(value, str))}


@pytest.fixture(autouse=True)
def _ray_is_for_slow_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that is not marked as slow starts no Ray. One that others started may run beside it."""
    before = _ray_runs()
    yield
    if _ray_runs() and not before and request.node.get_closest_marker("slow") is None:
        pytest.fail("a test that starts Ray is marked as slow")


def _ray_runs() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """The tokenizer of tiny causal students."""
    return tiny.causal_tokenizer()


@pytest.fixture(scope="session")
def tiny_causal(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a causal student."""
    folder = tmp_path_factory.mktemp("students") / "tiny-causal"
    return tiny.save(tiny.llama(tiny_tokenizer), tiny_tokenizer, folder)


@pytest.fixture(scope="session")
def tiny_seq2seq(tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sequence-to-sequence student."""
    tokenizer = tiny.seq2seq_tokenizer(tiny_tokenizer)
    return tiny.save(tiny.t5(tokenizer), tokenizer, tmp_path_factory.mktemp("students") / "tiny-seq2seq")


@pytest.fixture(scope="session")
def ray_running() -> Iterator[None]:
    """A local Ray session, started once for all tests of a process; its workers are warm."""
    from openmic.training.local_ray import ray_session

    from .warm_workers import starting_warm

    with ExitStack() as session:
        for attempts_left in (2, 1, 0):
            try:
                with starting_warm():
                    session.enter_context(ray_session())
                break
            except Exception as error:  # Ray has no other; it gives itself 30 s, which a busy machine may exceed
                if "timed out during startup" not in str(error) or not attempts_left:
                    raise
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql.Server]:
    """A PostgreSQL server. Databases on it are a test's own to make.

    `make test` installs the programs where it may; where it may not, these tests are skipped and say so.
    """
    try:
        postgresql.find_binaries()
    except RuntimeError as error:
        pytest.skip(str(error))
    with postgresql.running() as server:
        yield server
