"""A run has its task in the store, and needs its file no more."""

from pathlib import Path

import pytest

from openmic.agents.tasks.task import Task
from openmic.agents.tasks.task_file import TaskFile
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.graph.context.opening import task_of
from openmic.graph.context.plugs import Plugs
from openmic.graph.runs.provenance import run_record
from openmic.store import Run, Store

from ..conftest import config_of

FILE = """
name: polite
student: {{system: Say it politely.}}
cleaning: {{first_line_only: false}}
validity: {{max_words: 40, functions: ["{module}:says_please"]}}
"""
GATES = """
def says_please(text, source):
    return None if "please" in text.lower() else "says no please"
"""


class Own(Task):
    """A class of its own, which no file could hold."""


def stored(store: Store, config: RunConfig, plugs: Plugs, home: Path) -> Run:
    task = plugs.task(config.task)
    store.add(run_record("R", config, task, simulated=False, plugs=plugs.records, home=home, arguments=[]))
    found = store.get(Run, "R")
    assert found is not None
    return found


def test_from_any_folder_and_without_its_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    (there / "gates_of_polite.py").write_text(GATES)
    (there / "polite.yaml").write_text(FILE.format(module="gates_of_polite"))
    monkeypatch.chdir(there)
    config = config_of(task="polite.yaml")
    run = stored(store, config, Plugs(), tmp_path)
    assert run.folders[0] == str(there)
    monkeypatch.chdir(elsewhere)
    (there / "polite.yaml").unlink()
    found = task_of(run, config, Plugs().recall(run))
    assert found.problem("Sit down.", "Sit!") == "says no please"
    assert found.file.validity.max_words == 40
    assert not found.file.cleaning.first_line_only


def test_a_file_that_was_changed_since_changes_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plain.yaml"
    path.write_text("name: plain\nstudent: {system: One.}\n")
    config = config_of(task=str(path))
    run = stored(store, config, Plugs(), tmp_path)
    path.write_text("name: plain\nstudent: {system: Two.}\n")
    assert task_of(run, config, Plugs().recall(run)).file.student.system == "One."
    with pytest.raises(ConfigError, match="was changed since run R began"):
        task_of(run, config, Plugs({"task": Task("plain", student={"system": "Two."})}))


def test_a_task_made_in_python_needs_not_be_given_again_where_it_has_no_function_of_its_own(
    store: Store, tmp_path: Path
) -> None:
    config = config_of()
    given = Task("made", student={"system": "s"}, gates=lambda text, source: None)
    run = stored(store, config, Plugs({"task": given}), tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be imported again: task\.validity\.functions\.0; give it again"):
        Plugs().recall(run).task(config.task)
    assert task_of(run, config, Plugs({"task": given}).recall(run)) is given


def test_a_plain_one_is_made_anew(store: Store, tmp_path: Path) -> None:
    config = config_of()
    given = Task("made", student={"system": "s"}, validity={"max_words": 5})
    run = stored(store, config, Plugs({"task": given}), tmp_path)
    assert task_of(run, config, Plugs().recall(run)).file == given.file


def test_one_of_a_class_of_its_own_has_to_be_had_again(store: Store, tmp_path: Path) -> None:
    config = config_of()
    run = stored(store, config, Plugs({"task": Own("own", student={"system": "s"})}), tmp_path)
    assert run.task_file == {}
    with pytest.raises(ConfigError, match="cannot be imported again: task; give it again"):
        Plugs().recall(run).task(config.task)


def test_what_is_stored_reads_as_the_file_did() -> None:
    for name in ("humor", "plain-language"):
        task = Task.from_file(name)
        again = Task.from_stored(TaskFile.model_validate(task.as_file()).model_dump(mode="json"), name)
        assert (again.hash, again.file) == (task.hash, task.file)
