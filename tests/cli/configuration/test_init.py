"""A project that `openmic init` made, and the examples that ship."""

import json
from pathlib import Path

import pytest

from openmic.agents.tasks.task import load_task
from openmic.core.config_file import load_config
from openmic.core.errors import ConfigError
from openmic.core.files.examples import example_file, example_names, project_names
from openmic.core.inputs import demonstrated, known_outputs, read_inputs
from openmic.core.plugs import load_plug
from openmic.graph.context.cast import Casting
from openmic.graph.context.plugs import Plugs
from openmic.graph.preflight.objects import NobodyAsked

from ..conftest import Openmic

FILES = ["openmic.yaml", "task.yaml", "inputs.jsonl", "README.md"]


@pytest.mark.parametrize("name", project_names())
def test_an_example_in_a_folder_of_its_own_is_copied_as_it_is(
    openmic: Openmic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = openmic("init", "project", "--task", name, "--json")
    assert made.code == 0, made.err
    folder = tmp_path / "project"
    for file in json.loads(made.out)["files"]:
        if file != "README.md":
            assert (folder / file).read_bytes() == (example_file(name).parent / file).read_bytes()
    monkeypatch.chdir(tmp_path)
    config = load_config(folder / "openmic.yaml", [])
    task, examples = load_task(config.task), read_inputs(config.inputs).examples
    task.check_inputs(config.inputs.field_names)
    assert (task.name, len({example.own_id for example in examples})) == (name, len(examples))
    known = demonstrated(config.cast.teacher, "cast.teacher.demonstrations")
    casting = Casting(config, task, NobodyAsked(), Plugs())
    scorer = load_plug(config.evaluation.scorers[0], where="evaluation.scorers")
    better = 0
    for example in examples:
        outputs = task.checked(known_outputs(known, example.value), example.value, 5)
        assert [output.problem for output in outputs] == [None] * len(outputs), example.text
        better += min(scorer(example.value, [output.text for output in outputs])) > scorer(example.value, ["Hm"])[0]
    assert better > 0.9 * len(examples), "the scorer prefers what the file demonstrates to a mumble"
    assert casting.cast(("critic", "judge")).critic is not None


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
        (["init", "--task", "sonnet"], "there is no task 'sonnet' that ships, only humor, klartext, plain-language"),
        (["config", "show"], "there is no openmic.yaml here; `openmic init` makes one"),
        (["config", "show", "mine.yaml", "--example", "humor"], "are two configurations; give one of them"),
        (["run", "--example", "humour"], "did you mean humor?"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_would_do(openmic: Openmic, command: list[str], told: str) -> None:
    refused = openmic(*command)
    assert refused.code == 2
    assert told in refused.err


def test_a_file_is_no_folder_to_begin_in(openmic: Openmic, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    refused = openmic("init", "notes.txt")
    assert refused.code == 2
    assert "notes.txt is a file; nothing was written. Give a folder" in refused.err


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
