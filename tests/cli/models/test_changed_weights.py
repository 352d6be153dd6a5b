"""The weights of a finished run's student were changed since: whatever would load them says so, and does nothing."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import openmic
from openmic.core.errors import StudentChangedError

from ...whole_run import WholeRun
from ..conftest import Openmic


@pytest.fixture(scope="module")
def changed(run: WholeRun, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The store of a copy of the run, in whose student's folder, a copy too, lies a file more."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(run.home, folder / "openmic-data")
    student = shutil.copytree(run.status["student"], folder / "student")
    (student / "added_tokens.json").write_text("{}")
    file = folder / "openmic-data" / "openmic.db"
    with closing(sqlite3.connect(file)) as store, store:
        store.execute("UPDATE run SET config = json_set(config, '$.student.model', ?)", (str(student),))
    return str(file)


@pytest.mark.parametrize(
    "command",
    [
        ("chat", "The kettle broke."),
        ("serve", "latest", "--port", "0"),
        ("model", "export", "latest", "out", "--to", "merged"),
        ("model", "export", "latest", "out", "--to", "merged", "--verify", "0"),
    ],
)
def test_it_is_told_and_nothing_is_done(
    of_run: Openmic, changed: str, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = of_run(*command, "--store", changed)
    assert (done.code, done.out) == (1, "")
    assert "began with: added_tokens.json is new; put them back" in " ".join(done.err.split())
    assert list(tmp_path.iterdir()) == []


def test_so_it_is_in_python(changed: str) -> None:
    with pytest.raises(StudentChangedError, match=r"added_tokens.json is new"):
        openmic.open_run("latest", store=changed).student(0)
