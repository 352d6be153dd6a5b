from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.prompt_check import EXAMPLE, exposed_values
from openmic.agents.tasks.task import Task, load_task
from openmic.core.errors import TaskError

from ..task_files import HUMOR, write_task

ANSWERS = "`Answer: 1` or `Answer: 2`"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"judge": {"compare": "{{ input }} {{ first"}}, "judge.compare does not render"),
    ({"judge": {"compare": "{{ input }} {{ frist }}"}}, "judge.compare does not render: 'frist' is undefined"),
    ({"judge": {"compare": "{{ input + 1 }}"}}, "judge.compare does not render"),
    ({"judge": {"compare": "{{ ''.__class__.__mro__ }}"}}, "judge.compare does not render"),
    ({"critic": {"critique": "{% if not overused %}{{ draught }}{% endif %}"}}, "'draught' is undefined"),
    ({"student": {"system": "{{ input }}"}}, "student.system does not render: 'input' is undefined"),
    ({"judge": {"compare": "{{ input }} {{ first }}"}}, "judge.compare never shows {{ second }}"),
    ({"judge": {"compare": "{{ input }} {{ first }} {# {{ second }} #}"}}, "judge.compare never shows {{ second }}"),
    ({"judge": {"compare": "{{ input }} {{ first }} {{ second|length }}"}}, "judge.compare never shows {{ second }}"),
    ({"teacher": {"demonstrate": "{{ count }}"}}, "teacher.demonstrate never shows {{ input }}"),
    ({"teacher": {"demonstrate": "{{ input }}"}}, "teacher.demonstrate never shows {{ count }}"),
    ({"critic": {"critique": "{{ input }}"}}, "critic.critique never shows {{ draft }}"),
    ({"student": {"revise": "Again."}}, "student.revise never shows {{ suggestion }}"),
    ({"critic": {"reason": f"{{{{ input }}}} {{{{ first }}}} {ANSWERS}"}}, "critic.reason never shows {{ second }}"),
    ({"judge": {"reason": "{{ input }} {{ first }} {{ second }} 1 or 2?"}}, "judge.reason does not say 'Answer: 1'"),
    ({"critic": {"cloze": "<text>{{ text }}</text>"}}, "critic.cloze never shows {{ input }}"),
    ({"judge": {"cloze": "{{ input }}: {{ text }}"}}, "judge.cloze does not end in <text>{{ text }}</text>"),
    ({"judge": {"cloze": "{{ input }} <text>{{ text }}</text>, said he."}}, "judge.cloze does not end in <text>"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[f"{message}-{i}" for i, (_, message) in enumerate(WRONG)])
def test_a_prompt_that_cannot_do_its_work_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError) as caught:
        load_task(str(write_task(tmp_path, **changes)))
    assert message in str(caught.value)
    assert "task humor: the prompt" in str(caught.value)


def test_a_value_may_be_shown_in_any_way(tmp_path: Path) -> None:
    compare = "{% set source = input %}{{ source|upper }} {% for text in [first, second] %}{{ text }}{% endfor %}"
    task = load_task(str(write_task(tmp_path, judge={"compare": compare})))
    assert task.render("judge", "compare", input="a", first="b", second="c")[1].content == "A bc"


def test_styles_that_a_task_has_no_prompt_for_are_not_checked(tmp_path: Path) -> None:
    task = load_task(str(write_task(tmp_path, critic={"reason": None}, judge={"cloze": None})))
    assert {template.name for template in task.templates()}.isdisjoint({"critic.reason", "judge.cloze"})


EXPOSED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"student": {"draft": "Rewrite {{ input }}."}}, []),
    ({"judge": {"compare": "{{ input }} <a>{{ first }}</a> <b>{{ second }}</b>"}}, ["judge.compare: {{ input }}"]),
    ({"teacher": {"demonstrate": "<x>{{ input }} {{ count }}</y>"}}, ["teacher.demonstrate: {{ input }}"]),
    ({"teacher": {"demonstrate": '<x text="{{ input }}"> {{ count }}'}}, ["teacher.demonstrate: {{ input }}"]),
    (
        {"critic": {"critique": "<s>{{ input }}</s> {{ draft|upper }} {{ overused|join(', ') }}"}},
        ["critic.critique: {{ draft }}", "critic.critique: {{ overused }}"],
    ),
]


@pytest.mark.parametrize(("changes", "expected"), EXPOSED)
def test_a_text_outside_any_tag_is_warned_of(tmp_path: Path, changes: dict[str, Any], expected: list[str]) -> None:
    warnings = exposed_values(load_task(str(write_task(tmp_path, **changes))).prompts)
    assert [warning.partition(" stands")[0] for warning in warnings] == expected


def test_the_warning_says_how_to_mend_it(tmp_path: Path) -> None:
    critique = "<s>{{ input }}</s> {{ draft }}"
    [warning] = exposed_values(load_task(str(write_task(tmp_path, critic={"critique": critique}))).prompts)
    mended = critique.replace("{{ draft }}", warning.rpartition("write ")[2])
    assert exposed_values(load_task(str(write_task(tmp_path, critic={"critique": mended}))).prompts) == []


def test_there_is_an_example_for_everything_a_prompt_may_ask_for() -> None:
    task: Task = load_task("humor")
    for template in task.templates():
        values = {} if template.purpose == "system" else EXAMPLE
        assert task.render(template.role, template.purpose, **values)[1].content
    assert HUMOR["name"] == task.name
