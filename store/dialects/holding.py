"""Holding a run on a PostgreSQL server, so that no other process, on whichever machine, takes it up.

A server that is started again has forgotten who held what. So the hold is looked after, and taken again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep
from uuid import uuid4

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from ...core.errors import ConfigError, StoreBusyError
from .postgresql import lock_key, reason

LOOKED_AFTER_S = 1.0
"""How long a hold that a server lost may go unnoticed."""
_ENDING_S = 2.0
"""How long the server may take to end a connection, and a hold to be let go of."""
_PAUSE_S = 0.1
_END_EARLIER = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = :name AND usename = current_user AND pid <> pg_backend_pid()"
)
"""Of a connection that a firewall dropped the server may hear much later."""


class Hold:
    """A run that is held for this process, by a connection of its own."""

    def __init__(self, engine: Engine, run_id: str) -> None:
        self._engine, self._key = engine, lock_key(f"run {run_id}")
        self._name = f"openmic-{uuid4().hex}"  # what the connection is known by
        self._connection: Connection | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="openmic-hold", daemon=True)
        self.lost = False
        """Whether another process took the run up while the server was gone."""

    def take(self) -> bool:
        """Hold the run; False where another process does. Raises DBAPIError."""
        connection = self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(_END_EARLIER, {"name": self._name})
        connection.execute(select(func.set_config("application_name", self._name, False)))
        for _ in range(int(_ENDING_S / _PAUSE_S)):
            if connection.scalar(select(func.pg_try_advisory_lock(self._key))):
                return True
            if not self._thread.is_alive():  # nothing of this process's own can be in the way
                return False
            sleep(_PAUSE_S)
        return False

    def look_after(self) -> None:
        """Take it again, from now on, whenever the server has lost it."""
        self._thread.start()

    def let_go(self) -> None:
        """Hold it no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_ENDING_S)
        if self._connection is not None:
            with suppress(DBAPIError):  # a server that is gone holds nothing
                self._connection.execute(select(func.pg_advisory_unlock(self._key)))
        self._close()

    def _look_after(self) -> None:
        while not self._over.wait(LOOKED_AFTER_S):
            try:
                if self._connection is not None:
                    self._connection.execute(select(1))
                    continue
            except DBAPIError:
                self._close()
            try:
                self.lost = not self.take()
            except DBAPIError:  # it is gone still
                self._close()
            if self.lost:
                return

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.invalidate()  # it is ended, and the hold with it, and not used for anything else
                connection.close()


@contextmanager
def sole_writer(engine: Engine, run_id: str) -> Iterator[Hold]:
    """Hold a run for this process: no other one, on whichever machine, can hold it meanwhile.

    The server lets go of it when this process or its connection ends.

    Raises:
        ConfigError: Another process holds it.
        StoreBusyError: The server cannot be reached.
    """
    hold = Hold(engine, run_id)
    try:
        try:
            held = hold.take()
        except DBAPIError as error:
            raise StoreBusyError(f"run {run_id} cannot be held: {reason(error)}") from None
        if not held:
            raise ConfigError(f"another process is carrying out run {run_id}; wait for it, or end it first")
        hold.look_after()
        yield hold
    finally:
        hold.let_go()
