import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.store import Store

from .rows import example, run


@pytest.fixture(scope="session")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with one run and one input, made once because making the tables takes long."""
    path = tmp_path_factory.mktemp("made") / "store.db"
    with Store.open(str(path)) as opened:
        opened.add(run(), example())
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store can be made."""
    return tmp_path / "data" / "store.db"


@pytest.fixture
def store(path: Path, made_before: Path) -> Iterator[Store]:
    """A store with one run and one input."""
    path.parent.mkdir()
    shutil.copy(made_before, path)
    with Store.open(str(path)) as opened:
        yield opened
