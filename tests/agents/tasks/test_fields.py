from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.prompt_check import exposed_values, unseen_fields
from openmic.agents.tasks.task import Task, load_task
from openmic.core.errors import TaskError

from ..task_files import write_task

FIELDS = ["question", "context"]
STUDENT = {"system": "Answer.", "draft": "{{ context }}\n\n{{ question }}"}
TEACHER = {"system": "Answer.", "demonstrate": "<c>{{ context }}</c> <q>{{ question }}</q> {{ count }} times"}
VALUE = {"question": "Why </q>?", "context": "5 < 6 & <b>so</b>"}


@pytest.fixture
def answers() -> Task:
    return Task("answers", inputs=FIELDS, student=STUDENT, teacher=TEACHER)


def test_prompts_show_the_fields_of_an_input(answers: Task) -> None:
    assert answers.render("student", "draft", input=VALUE)[1].content == f"{VALUE['context']}\n\n{VALUE['question']}"
    whole = Task("answers", student={"system": "Answer."})
    assert whole.render("student", "draft", input=VALUE)[1].content == (
        f"question: {VALUE['question']}\ncontext: {VALUE['context']}"
    )


def test_no_field_gets_out_of_its_tag(answers: Task) -> None:
    assert answers.render("teacher", "demonstrate", input=VALUE, count=2, overused=[])[1].content == (
        "<c>5 &lt; 6 &amp; &lt;b&gt;so&lt;/b&gt;</c> <q>Why &lt;/q&gt;?</q> 2 times"
    )


def test_a_field_beyond_those_declared_is_part_of_the_whole_alone(answers: Task) -> None:
    values = answers.values(VALUE | {"hint": "Sums."})
    assert values == {**VALUE, "input": f"question: Why </q>?\ncontext: {VALUE['context']}\nhint: Sums."}


def test_a_field_may_be_called_input() -> None:
    task = Task(
        "alpaca", inputs=["instruction", "input"], student={"system": "x", "draft": "{{ instruction }}: {{ input }}"}
    )
    assert task.render("student", "draft", input={"instruction": "Add", "input": "1, 2"})[1].content == "Add: 1, 2"


def test_one_text_is_the_field_of_a_task_that_declares_one() -> None:
    task = Task("sums", inputs=["sum"], student={"system": "x", "draft": "{{ sum }} = {{ input }}"})
    assert task.render("student", "draft", input="1 + 1")[1].content == "1 + 1 = 1 + 1"


@pytest.mark.parametrize("value", ["Why?", {"question": "Why?"}])
def test_an_input_without_a_declared_field_is_refused(answers: Task, value: Any) -> None:
    with pytest.raises(
        TaskError, match=r"task answers needs inputs with question, context, and this one has no .*cont"
    ):
        answers.render("student", "draft", input=value)


def test_fields_that_the_inputs_lack_are_named_with_the_prompts_that_show_them(answers: Task) -> None:
    answers.check_inputs(["context", "question", "id"])
    with pytest.raises(TaskError) as caught:
        answers.check_inputs(["question", "background"])
    assert str(caught.value) == (
        "task answers needs a field 'context', which student.draft, teacher.demonstrate show, and inputs.fields names "
        "question, background; set inputs.fields to [question, context], or change the task"
    )
    with pytest.raises(TaskError, match="needs a field 'question'"):
        answers.check_inputs(["input"])


def test_a_task_for_one_text_takes_inputs_of_any_fields() -> None:
    for fields in (["input"], ["sentence"], ["question", "context"]):
        load_task("humor").check_inputs(fields)
    Task("sums", inputs=["sum"], student={"system": "x", "draft": "{{ sum }}"}).check_inputs(["expression"])


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"student": {"draft": "{{ question }} {{ contxt }}"}, "inputs": FIELDS},
        "student.draft does not render: 'contxt' is undefined (the task's inputs are question, context); did you mean "
        "'context'? else declare fields of inputs in the task, as `inputs: [question, context, contxt]`",
    ),
    (
        {"judge": {"compare": "{{ question }} {{ first }} {{ second }}"}},
        "judge.compare does not render: 'question' is undefined (an input is one text); declare fields of inputs in",
    ),
    ({"inputs": FIELDS, "student": {"draft": "Hm."}}, "never shows {{ input }}, and none of question, context"),
    (
        {"critic": {"cloze": "{{ input }} {{ draft }} <text>{{ text }}</text>"}},
        "'draft' is undefined; what it has is input, ",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_prompt_that_asks_for_what_it_is_not_given_is_named(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TaskError) as caught:
        load_task(str(write_task(tmp_path, **changes)))
    assert message in str(caught.value)


def test_a_field_outside_any_tag_or_never_shown_to_the_student_is_warned_of() -> None:
    teacher = {"system": "Answer.", "demonstrate": "{{ context }} <q>{{ question }}</q> {{ count }} times"}
    task = Task("answers", inputs=FIELDS, student={"system": "x", "draft": "{{ question }}"}, teacher=teacher)
    assert [line.partition(" stands")[0] for line in exposed_values(task.prompts)] == [
        "teacher.demonstrate: {{ context }}"
    ]
    assert unseen_fields(task.prompts) == ["student.draft: {{ context }} is never shown, nor all of the {{ input }}"]
    assert unseen_fields(Task("answers", inputs=FIELDS, student={"system": "x"}).prompts) == []


def test_a_loop_and_a_range_are_no_fields(tmp_path: Path) -> None:
    draft = "{% for i in range(2) %}{{ loop.index }} {{ input }} {% endfor %}"
    task = load_task(str(write_task(tmp_path, student={"draft": draft})))
    assert task.render("student", "draft", input="bus")[1].content == "1 bus 2 bus"
