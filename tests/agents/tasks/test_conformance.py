from itertools import count
from typing import Any

import pytest

from openmic.agents.tasks.conformance import check_task
from openmic.agents.tasks.task import Task
from openmic.agents.tasks.task_file import shipped_tasks
from openmic.core.errors import PlugError
from openmic.core.records import Message

STUDENT = {"system": "Rhyme."}
TEACHER = {"system": "Rhyme.", "demonstrate": "<q>{{ question }}</q> {{ context }}, {{ count }} times"}


@pytest.mark.parametrize("name", shipped_tasks())
def test_the_tasks_that_ship_stand_it(name: str) -> None:
    assert check_task(name) == []


def test_what_is_unwise_is_told() -> None:
    [warning] = check_task(Task("answers", student=STUDENT, teacher=TEACHER, inputs=["question", "context"]))
    assert warning.startswith("teacher.demonstrate: {{ context }} stands outside any tag")


class Unescaped(Task):
    """A task that renders its prompts as they come."""

    def render(self, role: str, purpose: str, **values: Any) -> tuple[Message, Message]:
        system, user = super().render(role, purpose, **values)
        return system, Message(role="user", content=user.content.replace("&lt;", "<"))


class Unsteady(Task):
    """A task that never says the same twice."""

    said = 0

    def render(self, role: str, purpose: str, **values: Any) -> tuple[Message, Message]:
        self.said += 1
        system, user = super().render(role, purpose, **values)
        return system, Message(role="user", content=f"{user.content} {self.said}")


class Lenient(Task):
    """A task that takes anything for an answer."""

    def problem(self, text: str, source: Any, *, cut_off: bool = False) -> str | None:
        return None


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Unescaped, "teacher.demonstrate: a text with < in it reaches the prompt unescaped"),
        (Unsteady, "student.draft does not render the same twice"),
        (Lenient, "an empty output passes for an answer"),
    ],
)
def test_a_task_of_another_kind_that_breaks_a_rule_is_found(kind: type[Task], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_task(kind("mine", student=STUDENT, teacher=TEACHER, inputs=["question", "context"]))


def test_a_function_that_fails_for_some_reply_is_found() -> None:
    def no_code(text: str) -> str:
        if "{" in text:
            raise ValueError("no code, please")
        return text

    with pytest.raises(PlugError, match="no code, please"):
        check_task(Task("mine", student=STUDENT, clean=no_code))


NUMBERS = count()


@pytest.mark.parametrize(
    ("clean", "message"),
    [
        (lambda text: f"{text} {next(NUMBERS)}", "gives one text, then another"),
        (lambda text: f"{text}\ud83d", "half of a surrogate pair"),
    ],
)
def test_cleaning_that_cannot_be_relied_on_is_found(clean: Any, message: str) -> None:
    with pytest.raises((AssertionError, PlugError), match=message):
        check_task(Task("mine", student=STUDENT, clean=clean))


def test_a_gate_that_turns_a_known_answer_away_is_found() -> None:
    asked: list[Any] = []

    def never(_text: str, source: Any) -> str | None:
        asked.append(source)
        return "not mine"

    task = Task("mine", student=STUDENT, gates=never)
    assert check_task(task) == []
    with pytest.raises(AssertionError, match=r"the answer '1\. A rhyme\.' .* is turned away: not mine"):
        check_task(task, answers=["1. A rhyme."], source="A line.")
    assert asked[-1] == "A line."
    assert check_task(Task("mine", student=STUDENT), answers=["A rhyme of five words."]) == []
