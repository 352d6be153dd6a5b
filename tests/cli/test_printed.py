"""What comes from a store, a task or a configuration does nothing to the terminal it is printed on."""

import json
import shutil
from pathlib import Path

import pytest

from openmic.core.text import escaped, printable_in
from openmic.store import Run, Store

from ..whole_run import WholeRun, finished_run
from .conftest import Openmic

NASTY = "\x1b]0;owned\x07\x1b[2J\x9b31mred\nfinished"


@pytest.fixture
def renamed(tiny_causal: Path, tmp_path: Path) -> str:
    """A finished run whose names would clear the screen."""
    run: WholeRun = finished_run(tiny_causal)
    for file in run.home.glob("openmic.db*"):
        shutil.copy(file, tmp_path / file.name)
    store = str(tmp_path / "openmic.db")
    with Store.open(store) as opened:
        row = opened.resolve_run("latest")
        cast = dict(row.cast) | {"judge": NASTY, "simulated": False}
        student = {**row.config["student"], "model": NASTY}
        values = {"cast": cast, "config": {**row.config, "student": student}}
        opened.update(Run, row.id, name=NASTY, task=NASTY, error=NASTY, home=NASTY, **values)
    return store


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("status", "--json"),
        ("transcripts", "list"),
        ("transcripts", "show", "latest"),
        ("transcripts", "explain", "v1"),
        ("db", "prune", "latest", "--dry-run"),
        ("transcripts", "list", "nobody"),
        ("chat", "--run", "nobody", "Hello."),
    ],
)
def test_names_in_a_store(openmic: Openmic, renamed: str, command: tuple[str, ...]) -> None:
    done = openmic(*command, "--store", renamed)
    printed = (done.out + done.err).replace("\n", "").replace("\t", "")
    assert printed
    assert [character for character in printed if not character.isprintable()] == []
    if command == ("status", "--json"):
        assert json.loads(done.out)["name"] == NASTY


def test_json_holds_what_it_held() -> None:
    value = {"name": NASTY, "more": ["\u202e", "\t\n", "ä"]}
    said = escaped(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(said) == value
    assert [character for character in said if not character.isprintable() and character != "\n"] == []


def test_every_text_of_a_value_is_cleaned() -> None:
    assert printable_in({"a\x1b[1m": ["b\x9b", ("c", 1, None)]}) == {"a": ["b", ["c", 1, None]]}
