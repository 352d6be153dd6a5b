"""A tiny student with three adapters, served over real HTTP by each kind of engine."""

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from openmic.agents.tasks.task import Task
from openmic.core.config import RunConfig
from openmic.core.endpoints.listening import AnnouncingServer, address_of, bind
from openmic.core.records import NO_ADAPTER
from openmic.graph.serving.app import build_app
from openmic.graph.serving.students import Served, Students
from openmic.training.engines.choose import make_engine
from openmic.training.engines.tiny_student import TinyStudent, tiny_student

Serving = Callable[..., Any]
LONGEST = 24


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyStudent:
    return tiny_student(tmp_path_factory.mktemp("served"))


def task(**parts: Any) -> Task:
    student = {"system": "Make it funny.", "draft": "{{ input }}", "revise": "Better: {{ suggestion }}"}
    return Task("odd/名", student=student, **parts)


def served(tiny: TinyStudent, given: Task | None = None) -> Served:
    config = RunConfig.model_validate(
        {
            "inputs": {"path": "inputs.txt"},
            "student": {"model": str(tiny.folder), "device": "cpu"},
            "evaluation": {"sampling": {"temperature": 0.0, "max_tokens": LONGEST}},
        }
    )
    versions = {0: NO_ADAPTER, **{ref.version: ref for ref in tiny.adapters}}
    return Served(given or task(), config, versions, default=2, created=1_700_000_000)


@contextmanager
def serving(what: Served, tiny: TinyStudent, engine: str = "static", **options: Any) -> Iterator[str]:
    """The address of a server that runs in a thread."""
    made = make_engine(tiny.settings.model_copy(update={"engine": engine}), threads=1)

    async def opened() -> Students:
        return Students(what, made)

    with listening(opened, **options) as address:
        yield address


@contextmanager
def listening(opened: Callable[[], Awaitable[Students]], **options: Any) -> Iterator[str]:
    """The address of a server of some students that runs in a thread."""
    ready = threading.Event()
    with bind("127.0.0.1", 0, "the test") as listener:
        server = AnnouncingServer(build_app(opened, **options), ready.set)
        thread = threading.Thread(target=server.serve_until_told, args=(listener,))
        thread.start()
        try:
            while not ready.wait(0.05):
                assert thread.is_alive()
            yield f"{address_of('127.0.0.1', listener)}/v1"
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def base_url(tiny: TinyStudent) -> Iterator[str]:
    """A server of the static engine, which answers when a text is whole."""
    with serving(served(tiny), tiny) as address:
        yield address


@pytest.fixture(scope="module")
def streaming_url(tiny: TinyStudent) -> Iterator[str]:
    """A server of the continuous engine, which tells a text as it grows."""
    with serving(served(tiny), tiny, "continuous") as address:
        yield address
