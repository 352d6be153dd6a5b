"""A command that cannot be carried out: see `refusal` for what it gets."""

from pathlib import Path

import pytest

from ..whole_run import openmic as openmic_process
from .conftest import Openmic, Outcome
from .refusal import refused, snapshot


def test_the_configuration_that_these_tests_spoil_is_right(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    outcome = openmic("run", str(config), "--dry-run")
    assert outcome.code == 0, outcome.err
    assert snapshot(tmp_path) == before


@pytest.mark.slow
def test_the_process_itself_ends_so_too(config: Path, tmp_path: Path) -> None:
    done = openmic_process("run", str(config), "--set", "dialogue.candidate=3", cwd=tmp_path)
    refused(lambda *_: Outcome(done.returncode, done.stdout, done.stderr), tmp_path)
    assert not (tmp_path / "openmic-data").exists()


@pytest.mark.parametrize(
    "command", [["status"], ["resume"], ["chat", "hello"], ["transcripts", "list"], ["transcripts", "show"]]
)
def test_commands_that_read_a_store_say_where_none_is(openmic: Openmic, tmp_path: Path, command: list[str]) -> None:
    error = refused(openmic, tmp_path, *command)
    assert "no store at" in error
    assert "openmic run" in error
    assert "--store" in error


@pytest.mark.parametrize("command", [["run", "--no-such-option"], ["walk"], ["graph", "draw", "house"]])
def test_a_command_line_that_is_none_ends_with_2_as_well(openmic: Openmic, tmp_path: Path, command: list[str]) -> None:
    outcome = openmic(*command)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []
