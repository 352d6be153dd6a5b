"""What bad input gets: exit code 2, one error that says what, where and how to mend it, and nothing written."""

from pathlib import Path

from .conftest import Openmic


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(openmic: Openmic, folder: Path, *arguments: str) -> str:
    """The error of a command that is refused; makes sure that it is one error and that nothing was written."""
    before = snapshot(folder)
    outcome = openmic(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("error:") == 1, outcome.err
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert snapshot(folder) == before
    return outcome.err
