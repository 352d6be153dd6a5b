"""The weights of a finished run's student were changed since: whatever would load them says so, and does nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import openmic
from openmic.core.errors import StudentChangedError

from ...whole_run import WholeRun
from ..conftest import Openmic


@pytest.fixture
def changed(run: WholeRun) -> Iterator[None]:
    """A file more lies in the student's folder meanwhile."""
    file = Path(run.status["student"], "added_tokens.json")
    file.write_text("{}")
    try:
        yield
    finally:
        file.unlink()


@pytest.mark.parametrize(
    "command",
    [
        ("chat", "The kettle broke."),
        ("serve", "latest", "--port", "0"),
        ("model", "export", "latest", "out", "--to", "merged"),
        ("model", "export", "latest", "out", "--to", "merged", "--verify", "0"),
    ],
)
@pytest.mark.usefixtures("changed")
def test_it_is_told_and_nothing_is_done(
    of_run: Openmic, run: WholeRun, command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = of_run(*command, "--store", run.store)
    assert (done.code, done.out) == (1, "")
    assert "began with: added_tokens.json is new; put them back" in " ".join(done.err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("changed")
def test_so_it_is_in_python(run: WholeRun) -> None:
    with pytest.raises(StudentChangedError, match=r"added_tokens.json is new"):
        openmic.open_run("latest", store=run.store).student(0)
