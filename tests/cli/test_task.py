import json
from pathlib import Path

import pytest
import yaml

from openmic.agents.tasks.task_file import task_source

from .conftest import Openmic

HUMOR = task_source("humor").text


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A task file of one's own, in the folder that the command runs in."""
    content = yaml.safe_load(HUMOR)
    content["name"] = "mine"
    content["judge"] = {"system": "Judge.", "compare": "Of {{ input }}: <a>{{ first }}</a> <b>{{ second }}</b>"}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_list_names_the_tasks_that_ship(openmic: Openmic) -> None:
    outcome = openmic("task", "list")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["humor", "plain-language"]
    rows = json.loads(openmic("task", "list", "--json").out)
    assert [row["name"] for row in rows] == ["humor", "plain-language"]
    assert all(row["description"] in outcome.out for row in rows)


def test_show_prints_the_file_as_it_is(openmic: Openmic, mine: Path) -> None:
    assert openmic("task", "show", "humor").out == HUMOR
    assert openmic("task", "show", "mine.yaml").out == mine.read_text(encoding="utf-8")


def test_what_show_prints_can_be_checked(openmic: Openmic, tmp_path: Path) -> None:
    (tmp_path / "copy.yaml").write_text(openmic("task", "show", "plain-language").out, encoding="utf-8")
    outcome = openmic("task", "check", "copy.yaml")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == openmic("task", "check", "plain-language").out


def test_a_valid_task_is_said_to_be_valid_in_one_line(openmic: Openmic) -> None:
    assert openmic("task", "check", "plain-language").out == (
        "task plain-language is valid: 11 prompts (critic 5, judge 3, student 2, teacher 1), "
        "verdict styles: label, reason, cloze\n"
    )


def test_what_is_unwise_is_a_warning(openmic: Openmic, mine: Path) -> None:
    outcome = openmic("task", "check", mine.name)
    assert outcome.code == 0
    valid, warning = outcome.out.splitlines()
    assert valid.startswith("task mine is valid: 9 prompts")
    assert valid.endswith("verdict styles: label")
    assert warning.startswith("warning: judge.compare: {{ input }} stands outside any tag")
    assert json.loads(openmic("task", "check", mine.name, "--json").out)["warnings"] == [
        warning.removeprefix("warning: ")
    ]


def test_with_an_input_every_prompt_is_shown_as_it_would_be_asked(openmic: Openmic) -> None:
    outcome = openmic("task", "check", "plain-language", "--input", "Dogs & <cats> shall be leashed.")
    assert outcome.code == 0
    shown = outcome.out.split("--- ")[1:]
    assert [part.partition("\n")[0] for part in shown] == [
        "critic.cloze",
        "critic.compare",
        "critic.critique",
        "critic.hint",
        "critic.reason",
        "judge.cloze",
        "judge.compare",
        "judge.reason",
        "student.draft",
        "student.revise",
        "teacher.demonstrate",
    ]
    for part in shown:
        name, system, *_ = part.splitlines()
        assert system == "system:", name
        if name.startswith("student.draft"):
            assert "user:\n  Dogs & <cats> shall be leashed.\n" in part
        elif not name.startswith("student"):
            assert "<notice>Dogs &amp; &lt;cats&gt; shall be leashed.</notice>" in part
    assert "task plain-language is valid" in outcome.out.splitlines()[-1]


ANSWERS = """
name: answers
inputs: [question, context]
student: {system: Answer., draft: "{{ context }} {{ question }}"}
teacher: {system: Teach., demonstrate: "<q>{{ question }}</q> <c>{{ context }}</c> {{ count }} times"}
validity: {functions: [gates:no_shouting]}
"""
GATE = """
def no_shouting(text, source):
    return "shouts" if text.isupper() else None

def broken(text, source):
    return source["answer"]
"""


def test_an_input_of_several_fields_is_given_field_by_field(openmic: Openmic, tmp_path: Path) -> None:
    (tmp_path / "answers.yaml").write_text(ANSWERS, encoding="utf-8")
    (tmp_path / "gates.py").write_text(GATE, encoding="utf-8")
    assert openmic("task", "check", "answers.yaml").out == (
        "task answers is valid: 3 prompts (student 2, teacher 1), verdict styles: none\n"
    )
    given = ("--input", "context=A = <b>.", "--input", "question=Why?")
    outcome = openmic("task", "check", "answers.yaml", *given)
    assert "user:\n  A = <b>. Why?\n" in outcome.out
    assert "user:\n  <q>Why?</q> <c>A = &lt;b&gt;.</c> 3 times\n" in outcome.out
    about = json.loads(openmic("task", "check", "answers.yaml", *given, "--json").out)
    assert about["inputs"] == ["question", "context"]
    assert about["functions"]["validity.functions.0"]["use"] == "gates:no_shouting"
    for wrong in (
        ("Why?",),
        ("question=Why?",),
        ("question=Why?", "context=x", "hint=y"),
        ("question=a", "question=b"),
    ):
        outcome = openmic("task", "check", "answers.yaml", *(part for text in wrong for part in ("--input", text)))
        assert (outcome.code, outcome.out) == (2, "")
        assert "give --input question=… --input context=…" in outcome.err
    assert openmic("task", "check", "humor", "--input", "a", "--input", "b").code == 2


def test_a_function_that_fails_is_named(openmic: Openmic, tmp_path: Path) -> None:
    (tmp_path / "answers.yaml").write_text(ANSWERS.replace("no_shouting", "broken"), encoding="utf-8")
    (tmp_path / "gates.py").write_text(GATE, encoding="utf-8")
    outcome = openmic("task", "check", "answers.yaml")
    assert (outcome.code, outcome.out) == (2, "")
    assert "gates:broken (validity.functions.0) failed for 'A text that" in outcome.err
    assert "KeyError: 'answer'" in outcome.err


MADE = """
from openmic.agents.tasks.task import Task

def tidy(text):
    return text.strip("!")

def make():
    return Task("made", student={"system": "Rhyme."}, clean=tidy)
"""


def test_a_task_made_in_python_is_shown_as_a_file_that_says_the_same(openmic: Openmic, tmp_path: Path) -> None:
    (tmp_path / "rhymes.py").write_text(MADE, encoding="utf-8")
    shown = openmic("task", "show", "rhymes:make").out
    assert yaml.safe_load(shown) == {
        "name": "made",
        "student": {"system": "Rhyme."},
        "cleaning": {"functions": [{"use": "rhymes:tidy"}]},
    }
    (tmp_path / "made.yaml").write_text(shown, encoding="utf-8")
    assert openmic("task", "check", "made.yaml").out == openmic("task", "check", "rhymes:make").out != ""


def test_no_escape_sequence_of_an_input_reaches_the_terminal(openmic: Openmic) -> None:
    assert "\x1b" not in openmic("task", "check", "humor", "--input", "\x1b[31mred").out


def test_json_holds_the_messages_of_every_prompt(openmic: Openmic) -> None:
    answer = json.loads(openmic("task", "check", "humor", "--input", "\x1b[31mred", "--json").out)
    assert answer["valid"] is True
    assert answer["warnings"] == []
    by_name = {f"{prompt['role']}.{prompt['purpose']}": prompt["messages"] for prompt in answer["prompts"]}
    assert len(by_name) == 11
    assert by_name["student.draft"][1] == {"role": "user", "content": "\x1b[31mred"}


REFUSED = [
    ("humour", "did you mean 'humor'?"),
    ("nowhere.yaml", "task file 'nowhere.yaml' cannot be read"),
    ("broken.yaml", "unknown key 'student.drat'; did you mean 'student.draft'?"),
]


@pytest.mark.parametrize(("name", "message"), REFUSED)
@pytest.mark.parametrize("command", ["check", "show"])
def test_what_cannot_be_used_ends_with_2(
    openmic: Openmic, tmp_path: Path, command: str, name: str, message: str
) -> None:
    (tmp_path / "broken.yaml").write_text(HUMOR.replace("  draft:", "  drat:"), encoding="utf-8")
    outcome = openmic("task", command, name)
    if (command, name) == ("show", "broken.yaml"):
        assert (outcome.code, outcome.out) == (0, (tmp_path / "broken.yaml").read_text(encoding="utf-8"))
    else:
        assert (outcome.code, outcome.out) == (2, "")
        assert message in outcome.err
