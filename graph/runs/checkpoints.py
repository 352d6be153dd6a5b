"""Where LangGraph keeps what it needs to go on with a campaign: beside the store, in a database of its own kind.

For a store in a file that is a file; for one in PostgreSQL a schema of its own in the same database, so that a run can
be taken up on another machine. It holds ids and small numbers alone, and nothing of a campaign that has ended.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from filelock import AsyncFileLock
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from ...core.errors import StoreError
from ...store import Store
from ...store.dialects.location import is_postgresql
from ...store.dialects.postgresql import connect_arguments

SCHEMA = "openmic_checkpoints"
FILE = "checkpoints.db"
_SETUP_LOCK = 0x6F70656E6D6963  # "openmic" in ASCII: any number, as long as no other program takes the same


@asynccontextmanager
async def open_checkpoints(store: Store, home: Path) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """The checkpointer of a store's campaigns; `home` is the folder for its file, where it is one.

    Raises:
        StoreError: The database cannot be reached, or was lost while the checkpointer was open.
    """
    if not is_postgresql(store.address):
        async with AsyncSqliteSaver.from_conn_string(str(home / FILE)) as in_file:
            # Of two that turn SQLite's write-ahead log on at once, one is refused outright.
            async with AsyncFileLock(home / f"{FILE}.lock"):
                await in_file.setup()
            yield in_file
        return
    import psycopg
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    from psycopg.rows import dict_row

    try:
        connection = await psycopg.AsyncConnection.connect(
            **connect_arguments(store.address), autocommit=True, prepare_threshold=0, row_factory=dict_row
        )
        async with connection:
            await connection.execute(f"SET search_path TO {SCHEMA}")
            saver = AsyncPostgresSaver(connection)
            await _set_up(saver, connection)
            yield saver
    except psycopg.Error as error:
        why = " ".join(str(error).split())
        raise StoreError(
            f"the checkpoints in the store {store.url!r} cannot be used: {why}; see that the server runs and that its "
            "user may create schemas in the database, then `openmic resume`"
        ) from error


async def _set_up(saver: Any, connection: Any) -> None:
    """Make the checkpointer's tables, one process at a time.

    PostgreSQL refuses one of two that make a schema at once, IF NOT EXISTS or not. The checkpointer makes indexes
    concurrently, and those wait for every other statement in the database: whoever waited for the lock inside a
    statement would be waited for in turn.
    """
    while not await _one_value(connection, "SELECT pg_try_advisory_lock(%s)"):  # noqa: ASYNC110 - on another machine
        await asyncio.sleep(0.05)
    try:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        await saver.setup()
    finally:
        await _one_value(connection, "SELECT pg_advisory_unlock(%s)")


async def _one_value(connection: Any, statement: str) -> Any:
    cursor = await connection.execute(statement, [_SETUP_LOCK])
    [value] = (await cursor.fetchone()).values()
    return value
