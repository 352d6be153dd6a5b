"""Dialogues of on-policy distillation: drafts, what the teacher thinks of each token, and nothing else."""

import asyncio
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from openmic.cli.transcripts.conversation import print_conversation
from openmic.core.ids import derive_id
from openmic.core.records import AdapterRef, Stage, TrainingMetrics, TurnKind
from openmic.graph.context.run_context import RunContext
from openmic.graph.rollout.holding import hold
from openmic.graph.rollout.recording import open_dialogue
from openmic.graph.stages.fine_tune import fine_tune_on_feedback
from openmic.graph.stages.last_words import nothing_to_learn_from
from openmic.store import Adapter, Conversation, Dialogue, LLMCall, Store
from openmic.store.lineage.explain import explain_adapter, explain_turn
from openmic.training.student.tokenization import render_prompt
from openmic.training.trainer.trainer import Trainer
from openmic.viewer.conversation_view import Drafts, Speech, blocks

from ...agents.scripted_endpoint import Answer, ScriptedEndpoint, failure
from ...tiny_teacher import TinyTeacher
from ..conftest import SENTENCE, Bench, Prepare, ScriptedPool, committed

GOOD = "The kettle in our kitchen broke again this morning, and now the umbrella is jealous of the kitchen."
BLAND = "The kettle in our kitchen broke again this morning, which was a thing that happened."
DRAFTS = [GOOD, BLAND, SENTENCE]
"""The last is a copy, which a gate turns away."""


@pytest.fixture(scope="module")
def teacher(tiny_causal: Path) -> TinyTeacher:
    return TinyTeacher(tiny_causal)


@pytest.fixture
def endpoint(teacher: TinyTeacher) -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as running:
        running.chat, running.models = teacher.chat, teacher.models
        yield running


@pytest.fixture
def stage(prepare: Prepare, endpoint: ScriptedEndpoint, tiny_causal: Path) -> Bench:
    return prepare(url=endpoint.base_url, training={"objective": "opd"}, student={"model": str(tiny_causal)})


def base() -> Adapter:
    """The student as it came."""
    return Adapter(
        id=derive_id("RUN1", "adapter", 0), run_id="RUN1", version=0, stage="base", round=0, base_model="tiny"
    )


def hold_one(stage: Bench, pool: ScriptedPool, *, version: int = 1) -> Conversation:
    async def act(context: RunContext) -> str:
        dialogue = await open_dialogue(context, Stage.COLLECT, 1, stage.examples[0])
        await hold(context, dialogue, version, [])
        return dialogue.id

    return stage.store.conversation(stage.play(pool, act))


def test_the_teacher_scores_every_draft_and_no_critic_is_asked(
    stage: Bench, store: Store, endpoint: ScriptedEndpoint, teacher: TinyTeacher
) -> None:
    found = hold_one(stage, ScriptedPool(DRAFTS))
    drafts, said = found.turns[:3], found.turns[3:]
    assert [turn.kind for turn in drafts] == [TurnKind.DRAFT] * 3
    assert [(turn.kind, turn.agent.value) for turn in said] == [(TurnKind.LOGPROBS, "teacher")] * 3
    assert [turn.parent_turn_id for turn in said] == [draft.id for draft in drafts]
    assert drafts[2].note is not None, "what a gate turned away is on-policy too"
    prompt = render_prompt(teacher.student, stage.context(ScriptedPool([]), cast(Any, None)).student.prompt(SENTENCE))
    expected = teacher.logprobs([*prompt, 1, 2, 3])[-3:]
    for turn in said:
        assert turn.raw["token_logprobs"] == pytest.approx(expected)
        assert turn.content == f"mean log-probability {sum(expected) / 3:.4f} nats per token, of 3"
    assert (found.verdicts, found.critiques) == ([], [])
    assert {asked.path for asked in endpoint.asked} == {"/v1/completions"}
    took = [(call.role, call.input_tokens, call.output_tokens) for call in store.select(LLMCall)]
    assert took == [("teacher", len(prompt) + 3, 1)] * 3
    assert (found.dialogue.status, found.dialogue.stop_reason) == ("finished", "teacher's log-probabilities taken")
    assert found.dialogue.final_turn_id == drafts[0].id


def test_pages_and_terminals_show_what_the_teacher_thinks_under_its_draft(stage: Bench, store: Store) -> None:
    found = hold_one(stage, ScriptedPool(DRAFTS))
    shown = blocks(store, found)
    drafts, *others = shown
    assert isinstance(drafts, Drafts)
    assert [block.number for block in drafts.drafts] == [1, 2, 3]
    said = others[0]
    assert isinstance(said, Speech)
    assert said.answers is not None
    assert said.answers.id == found.turns[0].id
    terminal = Console(file=StringIO(), width=120)
    print_conversation(terminal, found)
    printed = cast(StringIO, terminal.file).getvalue()
    assert printed.count("mean log-probability") == 3
    assert "teacher's log-probabilities taken" in printed


def test_holding_it_again_asks_nobody_and_goes_on_where_it_was_interrupted(
    stage: Bench, store: Store, endpoint: ScriptedEndpoint
) -> None:
    before = hold_one(stage, ScriptedPool(DRAFTS))
    asked = len(endpoint.asked)
    store.update(Dialogue, before.dialogue.id, status="pending", stop_reason=None, final_turn_id=None)
    nobody = ScriptedPool([])
    after = hold_one(stage, nobody)
    assert (len(endpoint.asked), nobody.requests) == (asked, [])
    assert after.turns == before.turns


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (failure(400, "echo is not supported"), "on-policy distillation needs one that does"),
        (
            Answer(body={"choices": [{"logprobs": {"tokens": ["a", "b", "c"], "token_logprobs": [None, -1.0, -1.0]}}]}),
            "scored 3 tokens of a prompt of",
        ),
    ],
)
def test_a_teacher_that_does_not_score_fails_the_dialogue(
    stage: Bench, endpoint: ScriptedEndpoint, answer: Answer, why: str
) -> None:
    endpoint.chat = lambda asked, number: answer
    found = hold_one(stage, ScriptedPool(DRAFTS))
    assert found.dialogue.status == "failed"
    assert why in (found.dialogue.error or "")


class Learns:
    """A trainer that keeps what it is given."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    async def train(self, job: Any, _: object) -> tuple[AdapterRef, TrainingMetrics]:
        self.jobs.append(job)
        return committed(job), TrainingMetrics(1, 3, 1, 1.0, 0.5)


def test_drafts_of_the_version_that_is_trained_are_learned_from_once(stage: Bench, store: Store) -> None:
    trainer = Learns()
    store.add(base())
    found = hold_one(stage, ScriptedPool(DRAFTS), version=0)

    async def act(context: RunContext) -> list[int | None]:
        context.trainer = cast(Trainer, trainer)
        other = await fine_tune_on_feedback(context, 1, 7)
        first = await fine_tune_on_feedback(context, 1, 0)
        return [other, first, await fine_tune_on_feedback(context, 2, 0)]

    assert stage.play(ScriptedPool([]), act) == [None, 1, None]
    [job] = trainer.jobs
    [phase] = job.phases
    assert phase.objective == "opd"
    assert [example.id for example in phase.examples] == [turn.id for turn in found.turns[:3]]
    for example, said in zip(phase.examples, found.turns[3:], strict=True):
        assert example.token_ids == (1, 2, 3)
        assert list(example.teacher_logprobs) == said.raw["token_logprobs"]
    learned = explain_adapter(store, "RUN1", 1).learned
    assert [item.text.turn.id for item in learned if item.text is not None] == [turn.id for turn in found.turns[:3]]
    [by] = explain_turn(store, found.turns[0].id).learned_by
    assert by.adapter is not None
    assert by.adapter.version == 1
    answers = explain_turn(store, found.turns[3].id).answers
    assert answers is not None
    assert answers.turn.id == found.turns[0].id


def test_a_training_that_was_interrupted_is_of_the_same_drafts(stage: Bench, store: Store) -> None:
    store.add(base())
    hold_one(stage, ScriptedPool(DRAFTS), version=0)
    trainer = Learns()

    class Dies(Learns):
        async def train(self, job: Any, _: object) -> tuple[AdapterRef, TrainingMetrics]:
            self.jobs.append(job)
            raise asyncio.CancelledError

    dying = Dies()

    async def act(context: RunContext) -> int | None:
        context.trainer = cast(Trainer, dying)
        with pytest.raises(asyncio.CancelledError):
            await fine_tune_on_feedback(context, 1, 0)
        context.trainer = cast(Trainer, trainer)
        return await fine_tune_on_feedback(context, 1, 0)

    assert stage.play(ScriptedPool([]), act) == 1
    assert trainer.jobs[0].key == dying.jobs[0].key


def test_a_run_that_cannot_go_on_says_what_it_lacks(stage: Bench, store: Store) -> None:
    assert "of 0 drafts, the teacher gave log-probabilities of 0" in nothing_to_learn_from(store, stage.run_row)
    hold_one(stage, ScriptedPool(DRAFTS), version=2)
    said = nothing_to_learn_from(store, stage.run_row)
    assert "of 3 drafts, the teacher gave log-probabilities of 3, and they are of v2" in said
