"""Comparisons and critiques as rows: every reply is a turn, every turn of a verdict has its ballot."""

import asyncio

import pytest

from openmic.agents.critique import Critique
from openmic.agents.llm import Exchange
from openmic.core.errors import StoreError
from openmic.core.ids import content_hash
from openmic.core.records import Agent, LLMReply, LLMRequest, Sampling, Stage, TurnKind
from openmic.graph.context.run_context import RunContext
from openmic.graph.rollout.recording import open_dialogue, record_critique, record_verdict, turn_id
from openmic.store import BallotRow, CritiqueRow, Dialogue, Store, Turn, VerdictRow

from ..conftest import SENTENCE, Bench, Prepare, ScriptedPool, Serve

GOOD = "The kettle in our kitchen broke again this morning, and now the umbrella is jealous of the kitchen."
BLAND = "The kettle in our kitchen broke again this morning, which was a thing that happened."


def draft(dialogue: Dialogue, seq: int, text: str) -> Turn:
    return Turn(
        id=turn_id(dialogue.id, seq),
        run_id=dialogue.run_id,
        dialogue_id=dialogue.id,
        seq=seq,
        agent=Agent.STUDENT,
        kind=TurnKind.DRAFT,
        content=text,
        content_hash=content_hash(text),
        model="student",
    )


class Recorded:
    """A dialogue with two drafts and a comparison of them, as the store holds it."""

    def __init__(self, stage: Bench, *, by_judge: bool = False) -> None:
        self.store = stage.store

        async def act(context: RunContext) -> tuple[Dialogue, VerdictRow, int]:
            dialogue = await open_dialogue(context, Stage.COLLECT, 1, stage.examples[0])
            first, second = draft(dialogue, 0, GOOD), draft(dialogue, 1, BLAND)
            stage.store.add_new(first, second)
            agent = context.judge if by_judge else context.critic
            comparison = await agent.compare(SENTENCE, GOOD, BLAND)
            self.comparison, self.first, self.second = comparison, first, second
            verdict, next_seq = await record_verdict(stage.store, dialogue, 2, comparison, first, second)
            again, _ = await record_verdict(stage.store, dialogue, 2, comparison, first, second)
            assert again.id == verdict.id
            return dialogue, verdict, next_seq

        self.dialogue, self.verdict, self.next_seq = stage.play(ScriptedPool([]), act)
        self.turns = self.store.select(Turn, dialogue_id=self.dialogue.id, kind=TurnKind.VERDICT, order_by="seq")
        self.ballots = [self.store.get(BallotRow, turn.id) for turn in self.turns]

    def places(self) -> list[tuple[int, bool]]:
        assert all(ballot is not None and ballot.verdict_id == self.verdict.id for ballot in self.ballots)
        return [(ballot.member, ballot.forward) for ballot in self.ballots if ballot is not None]


def test_a_comparison_is_two_turns_two_ballots_and_a_verdict(prepare: Prepare) -> None:
    found = Recorded(prepare())
    assert [turn.seq for turn in found.turns] == [2, 3]
    assert found.next_seq == 4
    assert [turn.parent_turn_id for turn in found.turns] == [found.first.id, found.second.id]
    assert found.places() == [(0, True), (0, False)]
    stored = found.store.get(VerdictRow, found.verdict.id)
    assert stored is not None
    assert (stored.forward_turn_id, stored.reverse_turn_id) == tuple(turn.id for turn in found.turns)
    assert (stored.outcome, stored.consistent, stored.method, stored.agent) == ("win", True, "logprobs", "critic")
    assert stored.p_first == pytest.approx((stored.p_forward + stored.p_reverse) / 2)
    assert [ballot.p_first for ballot in found.ballots if ballot] == [stored.p_forward, stored.p_reverse]


def test_a_judges_verdict_is_the_judges(prepare: Prepare) -> None:
    found = Recorded(prepare(), by_judge=True)
    assert found.verdict.agent == "judge"
    assert {turn.agent for turn in found.turns} == {Agent.JUDGE}


def test_sampled_labels_are_a_turn_and_a_ballot_each(prepare: Prepare, serve: Serve) -> None:
    found = Recorded(prepare(url=serve(no_logprobs=True), verdict={"samples": 3}))
    assert found.places() == [(0, True)] * 3 + [(0, False)] * 3
    assert (found.verdict.method, found.next_seq) == ("sampled", 8)
    assert (found.verdict.forward_turn_id, found.verdict.reverse_turn_id) == (found.turns[0].id, found.turns[3].id)
    assert {ballot.method for ballot in found.ballots if ballot} == {"sampled"}
    assert [ballot.p_first for ballot in found.ballots if ballot][:3] == [
        1.0 if turn.content.startswith("1") else 0.0 for turn in found.turns[:3]
    ]


@pytest.mark.parametrize("rule", ["mean", "majority"])
def test_a_jurys_members_are_kept(prepare: Prepare, rule: str) -> None:
    found = Recorded(prepare(cast={"jury": [{}, {}]}, verdict={"jury": rule}))
    assert found.places() == [(0, True), (0, False), (1, True), (1, False), (2, True), (2, False)]
    assert [turn.model for turn in found.turns[::2]] == ["sim-critic", "sim-critic-2", "sim-critic-3"]
    assert found.verdict.forward_turn_id == found.turns[0].id
    assert found.verdict.reverse_turn_id == found.turns[1].id
    forward = [ballot.p_first for ballot in found.ballots if ballot and ballot.forward]
    assert found.verdict.p_forward == pytest.approx(sum(forward) / 3)
    assert found.verdict.outcome == "win"


def test_a_cloze_is_a_turn_for_each_text(prepare: Prepare) -> None:
    found = Recorded(prepare(verdict={"style": "cloze"}))
    assert found.places() == [(0, True), (0, False)]
    assert (found.verdict.method, found.verdict.outcome, found.verdict.consistent) == ("cloze", "win", True)
    assert found.verdict.p_forward == found.verdict.p_reverse
    better, worse = (float((turn.note or "").split()[2]) for turn in found.turns)
    assert better > worse


def test_a_reason_is_kept_with_its_label(prepare: Prepare) -> None:
    found = Recorded(prepare(verdict={"style": "reason"}))
    assert found.verdict.outcome == "win"
    assert all("Answer: " in turn.content for turn in found.turns)


def test_all_of_a_verdict_is_stored_or_nothing(prepare: Prepare, store: Store) -> None:
    found = Recorded(prepare())
    other = Dialogue(id="OTHER", run_id="RUN1", stage=Stage.EVALUATE, round=1, example_id=found.dialogue.example_id)
    in_the_way = draft(other, 3, "A turn in the place of the reverse order's.")
    in_the_way.id = "IN-THE-WAY"
    store.add_new(other, in_the_way)
    with pytest.raises(StoreError, match="UNIQUE"):
        asyncio.run(record_verdict(store, other, 2, found.comparison, found.first, found.second))
    assert store.get(Turn, turn_id("OTHER", 2)) is None
    assert store.count(VerdictRow, dialogue_id="OTHER") == 0


# Critiques


@pytest.mark.parametrize(
    ("ordinal", "written", "note"),
    [
        (0, Critique("a", "b", "c", parsed=True), None),
        (1, Critique("a", "b", "c", parsed=True), "asked again: the first reply held no suggestion"),
        (0, Critique("", "", "c", parsed=False), "no suggestion in the form that was asked for"),
        (
            1,
            Critique("", "", "", parsed=False),
            "asked again: the first reply held no suggestion; no suggestion in the form that was asked for",
        ),
    ],
)
def test_a_critiques_note_says_what_was_the_matter(
    prepare: Prepare, ordinal: int, written: Critique, note: str | None
) -> None:
    stage = prepare()

    async def act(context: RunContext) -> CritiqueRow:
        dialogue = await open_dialogue(context, Stage.COLLECT, 1, stage.examples[0])
        target = draft(dialogue, 0, BLAND)
        stage.store.add_new(target)
        request = LLMRequest("critic", "m", (), Sampling(), 7, ordinal=ordinal)
        stage.store.save_reply(context.run.id, request, LLMReply(text="{}", model="m"))
        exchange = Exchange(request, LLMReply(text="{}", model="m"), stage.task.template("critic", "critique"))
        return await record_critique(stage.store, dialogue, 1, exchange, written, target)

    row = stage.play(ScriptedPool([]), act)
    stored = stage.store.get(Turn, row.turn_id)
    assert stored is not None
    assert (stored.note, stored.content, stored.seq) == (note, "{}", 1)
    critique = stage.store.get(CritiqueRow, row.turn_id)
    assert critique is not None
    assert (critique.works, critique.missing, critique.suggestion, critique.parse_ok) == (
        written.works,
        written.missing,
        written.suggestion,
        written.parsed,
    )
