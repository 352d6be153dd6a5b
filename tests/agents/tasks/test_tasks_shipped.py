"""The tasks that ship: complete, for every verdict style, and fit for the inputs that ship with them."""

import json
from pathlib import Path

import pytest

from openmic.agents.tasks.prompt_check import EXAMPLE, exposed_values
from openmic.agents.tasks.task import Task, load_task
from openmic.agents.tasks.task_file import shipped_tasks
from openmic.core.config_file import load_config
from openmic.core.inputs import read_inputs
from openmic.core.records import Split
from openmic.core.text import words

EXAMPLES = Path(__file__).parents[3] / "examples"
NAMES = shipped_tasks()


@pytest.fixture(scope="module", params=NAMES)
def shipped(request: pytest.FixtureRequest) -> Task:
    return load_task(request.param)


def inputs(name: str) -> list[str]:
    lines = (EXAMPLES / "inputs" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["input"] for line in lines]


def test_a_task_is_called_what_its_file_is_called(shipped: Task) -> None:
    assert shipped.name in NAMES
    assert shipped.file.description.endswith(".")


def test_there_is_a_prompt_for_every_role_and_verdict_style(shipped: Task) -> None:
    styles = {f"{role}.{style}" for role in ("critic", "judge") for style in ("compare", "reason", "cloze")}
    assert styles <= {template.name for template in shipped.templates()}
    assert len(shipped.templates()) == 15


def test_every_text_in_a_prompt_to_a_large_model_stands_in_a_tag(shipped: Task) -> None:
    assert exposed_values(shipped.prompts) == []


def test_critic_and_judge_are_asked_in_words_of_their_own(shipped: Task) -> None:
    for purpose in ("system", "compare", "reason", "cloze"):
        assert shipped.template("critic", purpose).text != shipped.template("judge", purpose).text


@pytest.mark.parametrize("role", ["critic", "judge"])
def test_a_prompt_for_a_label_does_not_ask_for_a_reason_and_the_other_does(shipped: Task, role: str) -> None:
    label, reason = (shipped.render(role, purpose, **EXAMPLE)[1].content for purpose in ("compare", "reason"))
    assert "Answer: 1" not in label
    assert "reason" in reason or "why" in reason
    assert reason.index("Answer: 1") < reason.index("Answer: 2")


@pytest.mark.parametrize("count", [1, 3])
def test_the_teacher_is_told_in_figures_how_many_to_write(shipped: Task, count: int) -> None:
    text = shipped.render("teacher", "demonstrate", **(EXAMPLE | {"count": count}))[1].content
    assert f"exactly {count} " in text
    assert ("numbered list" in text) == (count > 1)


def test_what_is_written_in_a_task_file_is_short_enough_to_be_paid_for_often(shipped: Task) -> None:
    for template in shipped.templates():
        assert len(words(template.text)) < 160, template.name


def test_an_example_configuration_and_inputs_come_with_it(shipped: Task) -> None:
    config = load_config(EXAMPLES / f"{shipped.name}.yaml", environment={})
    assert config.task == shipped.name
    examples = read_inputs(config.inputs).examples
    splits = [example.split for example in examples]
    assert splits.count(Split.TRAIN) >= max(config.imitation.inputs or 0, config.dialogue.inputs or 0)
    assert splits.count(Split.TEST) >= (config.evaluation.test_inputs or 0)
    assert splits.count(Split.DEV) >= (config.evaluation.dev_inputs or 0)


def test_the_inputs_could_be_answered_within_the_tasks_own_rules(shipped: Task) -> None:
    for text in inputs(shipped.name):
        assert shipped.problem(text, text) == "copy of the input"
        assert shipped.clean(text) == text


def test_the_notices_are_many_and_of_every_length() -> None:
    notices = inputs("plain-language")
    lengths = [len(text.split()) for text in notices]
    assert len(notices) >= 200
    assert (min(lengths) >= 12, max(lengths) <= 55, len(set(lengths)) >= 20) == (True, True, True)


def test_no_two_notices_are_cut_from_one_pattern() -> None:
    """Of the 5-word stretches of a notice most occur in no other notice."""
    grams = [{tuple(said[i : i + 5]) for i in range(len(said) - 4)} for said in map(words, inputs("plain-language"))]
    for place, own in enumerate(grams):
        closest = max(len(own & other) / len(own) for other in grams[:place] + grams[place + 1 :])
        assert closest < 0.4, inputs("plain-language")[place]
