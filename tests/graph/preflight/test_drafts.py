"""Whether drafts can be learned from is found out before anything is paid for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError, EndpointSetupError
from openmic.core.records import Split
from openmic.graph.context.plugs import Plugs
from openmic.graph.preflight.drafts import check_teacher_tokens, refuse_drafts
from openmic.graph.preflight.objects import check_objective
from openmic.graph.preflight.work import Work
from openmic.training.objectives import Objective

from ...agents.scripted_endpoint import Answer, ScriptedEndpoint, failure
from ...tiny_teacher import TinyTeacher
from ..conftest import config_of


class Own(Objective):
    """Learns from drafts, in a way of its own."""

    needs = "drafts"

    def __call__(self, rows: Any, settings: Any) -> Any:
        return -(rows.token * (rows.teacher - rows.token.detach())).mean()


@pytest.fixture
def endpoint(tiny_causal: Path) -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as running:
        yield running


def opd(folder: Path, base_url: str = "http://127.0.0.1:9/v1", **sections: Any) -> RunConfig:
    cast = {"teacher": {"model": "tiny-teacher", "base_url": base_url}}
    sampling = {"temperature": 1.0, "top_p": 1.0}
    return config_of(
        **{
            "training": {"objective": "opd"},
            "student": {"model": str(folder), "sampling": sampling},
            "cast": cast,
            **sections,
        }
    )


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ({"cast": {}}, "the simulated teacher is no language model: set cast.teacher.model"),
        ({"cast": {"teacher": {"use": "mine:teach"}}}, "cast.teacher is no endpoint"),
    ],
)
def test_a_teacher_without_tokens_is_refused(tiny_causal: Path, sections: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        refuse_drafts(opd(tiny_causal, **sections))


def test_a_student_whose_drafts_follow_no_prompt_is_refused(tiny_seq2seq: Path) -> None:
    with pytest.raises(ConfigError, match="is a sequence-to-sequence model"):
        refuse_drafts(opd(tiny_seq2seq))


@pytest.mark.parametrize("sampling", [{"num_beams": 3}, {"temperature": 0.0}])
def test_a_search_is_no_sample(tiny_causal: Path, sampling: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="learns from samples, and student"):
        refuse_drafts(opd(tiny_causal, student={"model": str(tiny_causal), "sampling": sampling}))


def test_another_temperature_is_told(tiny_causal: Path) -> None:
    student = {"model": str(tiny_causal), "sampling": {"temperature": 0.7, "top_p": 0.9}}
    [note] = refuse_drafts(opd(tiny_causal, student=student))
    assert "sampled with temperature 0.7 and top_p 0.9; set both to 1 (student.sampling)" in note
    assert refuse_drafts(opd(tiny_causal)) == []
    assert refuse_drafts(config_of()) == []


def test_trainings_while_dialogues_go_on_count_preferences() -> None:
    with pytest.raises(ConfigError, match="train_every counts preferences, which 'opd' does not learn from"):
        check_objective(config_of(training={"objective": "opd", "train_every": 4}), Plugs())


def test_ones_own_objective_over_drafts_is_for_examples_given_in_python() -> None:
    with pytest.raises(ConfigError, match="scored for opd alone; give it examples in Python"):
        check_objective(config_of(training={"objective": "mine:Own"}), Plugs({"training.objective": Own}))


def test_a_teacher_with_the_students_tokens(tiny_causal: Path, endpoint: ScriptedEndpoint) -> None:
    teacher = TinyTeacher(tiny_causal)
    endpoint.chat = teacher.chat
    assert check_teacher_tokens(opd(tiny_causal, endpoint.base_url)) == []
    [ids] = teacher.scored
    assert len(set(ids)) > 60
    assert check_teacher_tokens(opd(tiny_causal, endpoint.base_url), ask=False) == []
    assert check_teacher_tokens(config_of()) == []
    assert len(teacher.scored) == 1


def test_a_teacher_with_other_tokens_is_refused(tiny_causal: Path, endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = TinyTeacher(tiny_causal, shift=1).chat
    said = (
        r"cast\.teacher: the tokens of 'tiny-teacher' are not those of the student .*, such as .* for .*one tokenizer"
    )
    with pytest.raises(ConfigError, match=said):
        check_teacher_tokens(opd(tiny_causal, endpoint.base_url))


@pytest.mark.parametrize(
    "answer",
    [
        failure(400, "Token id 300 is out of vocabulary"),
        failure(404, "no such route"),
        Answer(body={"choices": [{"logprobs": None}]}),
    ],
    ids=["beyond its vocabulary", "no completions", "no log-probabilities"],
)
def test_a_teacher_that_scores_no_tokens_is_refused(
    tiny_causal: Path, endpoint: ScriptedEndpoint, answer: Answer
) -> None:
    endpoint.chat = lambda asked, number: answer
    said = r"cast\.teacher: .* does not score the student's tokens with 'tiny-teacher'.*another than opd"
    with pytest.raises(EndpointSetupError, match=said) as caught:
        check_teacher_tokens(opd(tiny_causal, endpoint.base_url))
    assert "cloze" not in str(caught.value)


def test_a_busy_teacher_is_told_of(tiny_causal: Path, endpoint: ScriptedEndpoint) -> None:
    endpoint.chat = lambda asked, number: failure(429, "slow down")
    [note] = check_teacher_tokens(opd(tiny_causal, endpoint.base_url))
    assert "was not seen" in note


def test_drafts_are_scored_in_the_place_of_comparisons() -> None:
    inputs = {Split.TRAIN: 10, Split.DEV: 2, Split.TEST: 2}
    dialogue = {"candidates": 3}
    plain = Work.of(config_of(rounds=2, dialogue=dialogue), inputs)
    found = Work.of(config_of(rounds=2, dialogue=dialogue, training={"objective": "opd"}), inputs)
    assert (plain.scored, found.scored) == (0, 60)
    assert plain.compared > 0
    assert (found.compared, found.criticised) == (0, 0)
