from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.task_file import read_task_file, shipped_tasks, task_source
from openmic.core.errors import TaskError

from ..task_files import write_task


def refusal(name: Path | str) -> str:
    with pytest.raises(TaskError) as caught:
        read_task_file(task_source(str(name)))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    file = read_task_file(task_source(str(write_task(tmp_path, name="limerick", validity={"min_words": 8}))))
    assert (file.name, file.validity.min_words, file.validity.max_words) == ("limerick", 8, 60)


def test_what_a_file_leaves_out_has_a_default(tmp_path: Path) -> None:
    file = read_task_file(task_source(str(write_task(tmp_path, validity=None, sampling=None, judge={"cloze": None}))))
    assert file.validity.max_length_ratio is None
    assert file.validity.max_repetition == 0.5
    assert file.sampling.teacher.max_tokens == 400
    assert file.judge is not None
    assert file.judge.cloze is None
    assert file.critic is not None
    assert file.critic.cloze is not None


def test_the_tasks_that_ship_are_known_by_name() -> None:
    assert shipped_tasks() == ["humor", "plain-language"]
    assert read_task_file(task_source("plain-language")).name == "plain-language"


def test_an_unknown_task_is_named_with_the_nearest_that_ships() -> None:
    assert refusal("humour") == (
        "there is no task 'humour'; did you mean 'humor'? shipped are humor, plain-language, or give a .yaml file"
    )
    assert refusal("sonnet") == "there is no task 'sonnet'; shipped are humor, plain-language, or give a .yaml file"


def test_a_file_that_is_not_there_or_not_utf_8(tmp_path: Path) -> None:
    assert "nowhere.yaml' cannot be read" in refusal(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    assert "latin.yaml' cannot be read" in refusal(tmp_path / "latin.yaml")


NOT_YAML = [("name: x\ncritic: [", ", line 2, column"), ("name: 2024-13-45\n", "month must be"), ("\x01", "not valid")]


@pytest.mark.parametrize(("text", "problem"), NOT_YAML)
def test_a_file_that_is_not_yaml_is_named_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    message = refusal(tmp_path / "broken.yaml")
    assert "broken.yaml" in message
    assert "not valid YAML" in message
    assert problem in message


@pytest.mark.parametrize("text", ["", "- a\n", "humor"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "other.yaml").write_text(text)
    assert "other.yaml holds no task: it should be a mapping" in refusal(tmp_path / "other.yaml")


MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"vresion": 2}, "unknown key 'vresion'; did you mean 'version'?"),
    ({"critic": {"compere": "x"}}, "unknown key 'critic.compere'; did you mean 'critic.compare'?"),
    ({"judge": {"critique": "x"}}, "unknown key 'judge.critique'; did you mean 'critic.critique'?"),
    (
        {"cleaning": {"shout": True}},
        "'cleaning.shout'; valid keys of cleaning are first_line_only, line_breaks, strip_quotes, functions",
    ),
    ({"version": "one"}, "version: input should be a valid integer, unable to parse string"),
    ({"version": "one"}, "(given: 'one')"),
    ({"name": ""}, "name: string should have at least 1 character"),
    ({"teacher": {"demonstrate": 7}}, "teacher.demonstrate: input should be a valid string (given: 7)"),
    ({"sampling": {"teacher": {"temperature": 9}}}, "sampling.teacher.temperature: input should be less than"),
    ({"validity": {"min_words": 70}}, "validity: min_words (70) is over max_words (60)"),
    ({"validity": {"max_repetition": 2}}, "validity.max_repetition: input should be less than or equal to 1"),
    ({"validity": {"max_length_ratio": 0}}, "validity.max_length_ratio: input should be greater than 0"),
    ({"student": None}, "student is missing"),
    ({"critic": {"compare": None}}, "critic.compare: input should be a valid string"),
    ({"inputs": ["a b"]}, "inputs: 'a b' is no name that a prompt can show"),
    ({"inputs": ["draft"]}, "inputs: 'draft' means something else in prompts"),
    ({"inputs": ["question", "question"]}, "inputs: 'question' stands there twice"),
    ({"validity": {"functions": ["gates:no:good"]}}, "validity.functions.0.use: 'gates:no:good' is neither a name"),
]


@pytest.mark.parametrize(("changes", "message"), MALFORMED, ids=[message for _, message in MALFORMED])
def test_what_is_malformed_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    assert message in refusal(write_task(tmp_path, **changes))


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    message = refusal(write_task(tmp_path, vresion=2, version="one", student=None))
    assert "vresion" in message
    assert "version: input" in message
    assert "student is missing" in message
