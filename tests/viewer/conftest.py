"""The pages over a small store, asked over HTTP without a network between."""

import shutil
from collections.abc import Iterator
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


@pytest.fixture
def pages(store: Store) -> Iterator[TestClient]:
    """A browser that has come to the pages; it follows no redirect."""
    app = create_app(store.address)
    with TestClient(app, base_url=HERE, follow_redirects=False, headers={"Origin": HERE}) as client:
        yield client
