import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph

from openmic.core.errors import StoreError
from openmic.graph.runs.checkpoints import FILE, open_checkpoints
from openmic.store import Store

from ...postgresql import Server, running

THREAD = RunnableConfig(configurable={"thread_id": "RUN1"})


class Count(TypedDict):
    number: int


class EndedError(Exception):
    """Stands for a process that ends in the middle of a graph."""


async def count_to_three(store: Store, home: Path, *, stop_at: int | None = None) -> list[int]:
    """Go through a graph of three steps, from wherever a checkpoint is; returns the numbers it came by."""
    met: list[int] = []

    def step(state: Count) -> Count:
        if state["number"] == stop_at:
            raise EndedError
        met.append(state["number"])
        return {"number": state["number"] + 1}

    graph = StateGraph(Count)
    names = ["a", "b", "c"]
    for name in names:
        graph.add_node(name, step)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    async with open_checkpoints(store, home) as saver:
        compiled = graph.compile(checkpointer=saver)
        begun = bool((await compiled.aget_state(THREAD)).values)
        await compiled.ainvoke(None if begun else {"number": 1}, THREAD)
        await saver.adelete_thread("RUN1")
    return met


@pytest.fixture(params=["sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    address = str(tmp_path / "store.db")
    if request.param == "postgresql":
        server: Server = request.getfixturevalue("server")
        server.sql("DROP DATABASE IF EXISTS checkpoints WITH (FORCE)")
        server.sql("CREATE DATABASE checkpoints")
        address = server.url("checkpoints")
    with Store.open(address) as store:
        yield store


def test_a_graph_goes_on_where_it_was_interrupted_and_leaves_nothing(any_store: Store, tmp_path: Path) -> None:
    with pytest.raises(EndedError):
        asyncio.run(count_to_three(any_store, tmp_path, stop_at=2))
    assert asyncio.run(count_to_three(any_store, tmp_path)) == [2, 3]
    assert asyncio.run(count_to_three(any_store, tmp_path)) == [1, 2, 3]


def test_checkpoints_are_kept_apart_from_the_store(any_store: Store, tmp_path: Path, server: Server) -> None:
    asyncio.run(count_to_three(any_store, tmp_path))
    in_file = (tmp_path / FILE).exists()
    assert in_file is any_store.address.startswith("sqlite")
    if not in_file:
        by_schema = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'checkpoint%'"
        assert server.sql(by_schema, "checkpoints") == "openmic_checkpoints"
    with Store.open_readonly(any_store.address):
        pass
    Store.open(any_store.address).close()


def test_several_processes_may_make_the_tables_at_once(any_store: Store, tmp_path: Path) -> None:
    async def open_it() -> None:
        async with open_checkpoints(any_store, tmp_path) as saver:
            assert await saver.aget_tuple(THREAD) is None

    async def all_at_once() -> None:
        await asyncio.gather(*(open_it() for _ in range(4)))

    asyncio.run(all_at_once())


def test_a_server_that_goes_away_is_a_store_error(tmp_path: Path) -> None:
    async def lose(server: Server, store: Store) -> None:
        async with open_checkpoints(store, tmp_path) as saver:
            server.stop()
            await saver.aget_tuple(THREAD)

    with running() as server:
        server.sql("CREATE DATABASE db")
        with Store.open(server.url("db")) as store:
            with pytest.raises(StoreError, match=r"postgresql://teller@.*openmic resume") as lost:
                asyncio.run(lose(server, store))
            with pytest.raises(StoreError, match="refused") as refused:
                asyncio.run(count_to_three(store, tmp_path))
            server.start()
    for error in (lost, refused):
        assert "s3cret" not in str(error.value)
