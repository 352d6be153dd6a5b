"""Stores of both kinds. What a test asks of `store` or `address`, it asks of SQLite and of PostgreSQL."""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from openmic.store import Store
from openmic.store.dialects.engine import writing
from openmic.store.schema import TableModel

from ..postgresql import Server
from .rows import example, run

KINDS = ("sqlite", "postgresql")
_NUMBERS = count()


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with one run and one input, made once because making the tables takes long."""
    path = tmp_path_factory.mktemp("made") / "store.db"
    with Store.open(str(path)) as opened:
        opened.add(run(), example())
    return path


@pytest.fixture(scope="session")
def in_database(server: Server) -> Iterator[Store]:
    """A store in a database, which tests share: to empty its tables takes far less than to make them."""
    server.sql("CREATE DATABASE shared_store")
    with Store.open(server.url("shared_store")) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store can be made in a file."""
    return tmp_path / "data" / "store.db"


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The address of an empty database."""
    name = f"test_{next(_NUMBERS)}"
    server.sql(f"CREATE DATABASE {name}")
    yield server.url(name)
    server.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest) -> str:
    """Where a store can be made, in a file and in a database."""
    if request.param == "sqlite":
        return str(request.getfixturevalue("path"))
    made: str = request.getfixturevalue("database")
    return made


@pytest.fixture
def sqlite_store(path: Path, made_before: Path) -> Iterator[Store]:
    """A store with one run and one input, in the file `path`."""
    path.parent.mkdir()
    shutil.copy(made_before, path)
    with Store.open(str(path)) as opened:
        yield opened


@pytest.fixture
def postgresql_store(in_database: Store) -> Store:
    """A store with one run and one input, in a database. Its schema is to be left as it is."""
    with writing(in_database._engine) as connection:
        for table in reversed(TableModel.metadata.sorted_tables):
            connection.execute(table.delete())
    in_database.add(run(), example())
    return in_database


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Store:
    """A store with one run and one input, in a file and in a database."""
    opened: Store = request.getfixturevalue(f"{request.param}_store")
    return opened
