"""A project that `openmic init` made, and the examples that ship."""

import json
from pathlib import Path

import pytest

from openmic.agents.tasks.task import load_task
from openmic.core.config_file import load_config
from openmic.core.errors import ConfigError
from openmic.core.files.examples import example_file, example_names

from ..conftest import Openmic

FILES = ["openmic.yaml", "task.yaml", "inputs.jsonl", "README.md"]


@pytest.mark.parametrize("task", ["humor", "plain-language"])
def test_what_it_writes_can_be_run_as_it_is(
    openmic: Openmic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    made = openmic("init", "project", "--task", task, "--json")
    assert made.code == 0, made.err
    folder = tmp_path / "project"
    assert json.loads(made.out) == {"folder": str(folder), "files": FILES}
    monkeypatch.chdir(folder)
    config = load_config(Path("openmic.yaml"), [])
    assert Path(str(config.inputs.path)).resolve() == folder / "inputs.jsonl"
    assert load_task(config.task).name == task
    assert (folder / "task.yaml").read_text() == openmic("task", "show", task).out
    assert len((folder / "README.md").read_text().splitlines()) == 5


def test_what_is_there_is_left_alone(openmic: Openmic, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text("mine")
    refused = openmic("init")
    assert refused.code == 2
    assert "task.yaml is there already; nothing was written" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["task.yaml"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["init", "--task", "sonnet"], "there is no task 'sonnet' that ships, only humor, plain-language"),
        (["config", "show"], "there is no openmic.yaml here; `openmic init` makes one"),
        (["config", "show", "mine.yaml", "--example", "humor"], "are two configurations; give one of them"),
        (["run", "--example", "humour"], "did you mean humor?"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_would_do(openmic: Openmic, command: list[str], told: str) -> None:
    refused = openmic(*command)
    assert refused.code == 2
    assert told in refused.err


def test_what_is_to_be_typed_next_does_no_harm(openmic: Openmic, tmp_path: Path) -> None:
    assert "cd 'my project; echo no'" in openmic("init", "my project; echo no").out
    (tmp_path / "openmic.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    assert openmic("init").code == 2, "a link that leads nowhere is not written through"


def test_the_project_in_the_folder_is_what_is_meant(openmic: Openmic) -> None:
    openmic("init")
    assert json.loads(openmic("config", "show", "--json").out)["task"].endswith("task.yaml")


def test_every_example_can_be_read_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"humor", "plain-language"} < set(example_names())
    assert "paper_table" not in example_names(), "an experiment is no run"
    for name in example_names():
        load_config(example_file(name), [])
    with pytest.raises(ConfigError, match="there is no example"):
        example_file("../humor")
