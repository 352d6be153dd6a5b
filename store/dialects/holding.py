"""Holding runs or an experiment on a PostgreSQL server, so that no other process, on whichever machine, takes them up.

A server that is started again has forgotten who held what. So the hold is looked after, and taken again.
"""

import os
import platform
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from time import sleep
from uuid import uuid4

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from ...core.errors import ConfigError, StoreBusyError
from .postgresql import HELD_BY, holder, lock_key, reason

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


def this_process() -> str:
    """Which process this is, for whoever finds that it holds something."""
    return f"process {os.getpid()} on {platform.node() or 'this machine'}"


def held_elsewhere(what: str, by: str) -> ConfigError:
    """What is said where another process holds what is to be held; `by` is empty where nobody knows which."""
    told = f" ({by})" if by else ""
    return ConfigError(f"another process is carrying out {what}{told}; wait for it, or end it first")


class Hold:
    """What is held for this process, by a connection of its own."""

    def __init__(self, engine: Engine, held: Sequence[str]) -> None:
        self._engine, self._held = engine, held
        # What the connection is known by. PostgreSQL cuts longer names off, and takes nothing but ASCII.
        name = f"openmic-{uuid4().hex[:12]}{HELD_BY}{this_process()}"
        self._name = name.encode("ascii", "replace").decode("ascii")[:63]
        self._connection: Connection | None = None
        self._over, self._looking = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._look_after, name="openmic-hold", daemon=True)
        self.lost: str | None = None
        """What another process took up while the server was gone."""

    def take(self) -> str | None:
        """Hold all of it; returns the first that another process holds, if one does. Raises DBAPIError."""
        connection = self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(_END_EARLIER, {"name": self._name})
        connection.execute(select(func.set_config("application_name", self._name, False)))
        return next((what for what in self._held if not self._taken(connection, what)), None)

    def _taken(self, connection: Connection, what: str) -> bool:
        for _ in range(int(_ENDING_S / _PAUSE_S)):
            if connection.scalar(select(func.pg_try_advisory_lock(lock_key(what)))):
                return True
            if not self._thread.is_alive():  # nothing of this process's own can be in the way
                return False
            sleep(_PAUSE_S)
        return False

    def look_after(self) -> None:
        """Take it again, from now on, whenever the server has lost it."""
        self._thread.start()

    def look(self) -> bool:
        """Whether it is held at this moment, as the server says.

        What the server has lost is taken again if it can be; else `lost` is known afterwards.
        """
        with self._looking:
            if self.lost:
                return False
            try:
                if self._connection is not None:
                    self._connection.execute(select(1))
                    return True
            except DBAPIError:
                self._close()
            try:
                self.lost = self.take()
            except DBAPIError:  # it is gone still
                self._close()
            return self._connection is not None and not self.lost

    def let_go(self) -> None:
        """Hold it no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(_ENDING_S)
        if self._connection is not None:
            with suppress(DBAPIError):  # a server that is gone holds nothing
                self._connection.execute(select(func.pg_advisory_unlock_all()))
        self._close()

    def _look_after(self) -> None:
        while not self._over.wait(LOOKED_AFTER_S) and not self.lost:
            self.look()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(DBAPIError):
                connection.invalidate()  # it is ended, and the hold with it, and not used for anything else
                connection.close()


@contextmanager
def sole_writer(engine: Engine, held: Sequence[str]) -> Iterator[Hold]:
    """Hold something for this process: no other one, on whichever machine, can hold it meanwhile.

    The server lets go of it when this process or its connection ends.

    Raises:
        ConfigError: Another process holds some of it.
        StoreBusyError: The server cannot be reached.
    """
    hold = Hold(engine, held)
    try:
        try:
            elsewhere = hold.take()
            by = "" if elsewhere is None else holder(engine, elsewhere)
        except DBAPIError as error:
            raise StoreBusyError(f"{held[0]} cannot be held: {reason(error)}") from None
        if elsewhere is not None:
            raise held_elsewhere(elsewhere, by or "")
        hold.look_after()
        yield hold
    finally:
        hold.let_go()
