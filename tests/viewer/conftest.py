"""The pages over a small store, asked over HTTP without a network between."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from openmic.store import Store
from openmic.viewer.app import create_app

from .transcripts import write

HERE = "http://127.0.0.1"


@pytest.fixture(scope="session")
def written_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the store, made once because making the tables takes long."""
    path = tmp_path_factory.mktemp("written") / "store.db"
    with Store.open(str(path)) as opened:
        write(opened)
    return path


@pytest.fixture
def store(tmp_path: Path, written_before: Path) -> Iterator[Store]:
    """A store with the run of `transcripts`, open for writing as a run's driver has it."""
    path = shutil.copy(written_before, tmp_path / "store.db")
    with Store.open(str(path)) as opened:
        yield opened


@contextmanager
def visiting(address: str) -> Iterator[TestClient]:
    """A browser that has come to the pages over a store; it follows no redirect."""
    app = create_app(address)
    with TestClient(app, base_url=HERE, follow_redirects=False, headers={"Origin": HERE}) as client:
        yield client


@pytest.fixture
def pages(store: Store) -> Iterator[TestClient]:
    """The pages over a store of the test's own."""
    with visiting(store.address) as client:
        yield client


@pytest.fixture(scope="session")
def unchanged(written_before: Path) -> Iterator[TestClient]:
    """The pages over a store that no test changes."""
    with visiting(str(written_before)) as client:
        yield client
