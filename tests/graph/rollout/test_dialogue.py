"""The dialogue's routing, and whole dialogues: a real store and the simulated cast over HTTP.

The student pool alone is scripted: its drafts and revisions are written down here, so that each way through the machine
is taken for certain.
"""

import asyncio
from typing import Any

import pytest
from langgraph.runtime import Runtime

from openmic.core.records import Stage, TurnKind
from openmic.core.text import words
from openmic.graph.context.run_context import RunContext
from openmic.graph.rollout.dialogue import (
    DialogueState,
    after_compare,
    after_draft,
    after_revise,
    after_try,
)
from openmic.graph.rollout.holding import hold
from openmic.graph.rollout.recording import open_dialogue
from openmic.graph.rollout.session import DialogueSession
from openmic.simulator import rubric_for
from openmic.store import Conversation, Dialogue, LLMCall, Run, Store, Turn
from openmic.store.writes import updating

from ..conftest import SENTENCE, Bench, Prepare, ScriptedPool, Serve

GOOD = "The kettle in our kitchen broke again this morning, and now the umbrella is jealous of the kitchen."
BLAND = "The kettle in our kitchen broke again this morning, which was a thing that happened."
BLANDER = "This morning the kettle in our kitchen broke once more, and that is all there is to say."
LOST = "Something in the house stopped for reasons that nobody could explain to us at all."
COPY = SENTENCE

DRAFT, VERDICT, CRITIQUE, REVISION, DEMONSTRATION = (
    TurnKind.DRAFT,
    TurnKind.VERDICT,
    TurnKind.CRITIQUE,
    TurnKind.REVISION,
    TurnKind.DEMONSTRATION,
)
COMPARED = [VERDICT, VERDICT]
CRITIC = rubric_for("humor", "sim-critic")


def hold_one(stage: Bench, pool: ScriptedPool, **state: Any) -> Conversation:
    async def act(context: RunContext) -> str:
        dialogue = await open_dialogue(context, Stage.COLLECT, 1, stage.examples[0])
        await hold(context, dialogue, state.get("version", 1), state.get("overused", []))
        return dialogue.id

    return stage.store.conversation(stage.play(pool, act))


def kinds(found: Conversation) -> list[TurnKind]:
    assert [turn.seq for turn in found.turns] == list(range(len(found.turns)))
    return [turn.kind for turn in found.turns]


def final_text(found: Conversation) -> str:
    [turn] = [turn for turn in found.turns if turn.id == found.dialogue.final_turn_id]
    return turn.content


def runtime(stage: Bench) -> Runtime[DialogueSession]:
    context = stage.context(ScriptedPool([]), None)  # type: ignore[arg-type] # no edge asks a model

    async def begin() -> DialogueSession:
        dialogue = await open_dialogue(context, Stage.COLLECT, 1, stage.examples[0])
        return await DialogueSession.begin(context, dialogue)

    return Runtime(context=asyncio.run(begin()))


def test_the_texts_of_this_file_are_what_the_critic_takes_them_for() -> None:
    critic = rubric_for("humor", "sim-critic")
    assert critic is not None
    scores = [critic.assess(SENTENCE, text).score for text in (GOOD, BLAND, BLANDER, LOST)]
    assert scores[0] - scores[1] > 0.2
    assert scores[0] - scores[2] > 0.2
    assert min(scores[1:3]) - scores[3] > 0.2


@pytest.mark.parametrize(
    ("state", "following"),
    [
        (DialogueState(best=None, challenger=None, revisions=0), "demonstrate"),
        (DialogueState(best="a", challenger="b", revisions=0), "compare"),
        (DialogueState(best="a", challenger=None, revisions=0), "critique"),
    ],
)
def test_after_drafts(prepare: Prepare, state: DialogueState, following: str) -> None:
    assert after_draft(state, runtime(prepare())) == following


def test_a_draft_without_a_rival_goes_to_the_teacher_where_no_revision_is_allowed(prepare: Prepare) -> None:
    stage = prepare(dialogue={"max_revisions": 0})
    state = DialogueState(best="a", challenger=None, revisions=0)
    assert after_draft(state, runtime(stage)) == "demonstrate"


def test_after_a_comparison_a_reason_to_stop_ends_the_dialogue(prepare: Prepare) -> None:
    state = DialogueState(best="a", challenger=None, revisions=0, stop_reason="revision accepted")
    assert after_compare(state, runtime(prepare())) == "__end__"


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_tries_go_on_until_the_revisions_are_used_up(prepare: Prepare, allowed: int) -> None:
    use = runtime(prepare(dialogue={"max_revisions": allowed}))
    for revisions in range(4):
        state = DialogueState(best="a", challenger=None, revisions=revisions)
        expected = "critique" if revisions < allowed else "demonstrate"
        assert after_try(state, use) == expected
        assert [after(state, use) for after in (after_compare, after_revise)] == [expected] * 2


def test_a_new_revision_is_compared_even_when_it_was_the_last(prepare: Prepare) -> None:
    state = DialogueState(best="a", challenger="b", revisions=1)
    assert after_revise(state, runtime(prepare(dialogue={"max_revisions": 1}))) == "compare"


def test_a_better_revision_is_accepted_and_preferred(prepare: Prepare) -> None:
    pool = ScriptedPool([BLAND, LOST, COPY], [GOOD])
    found = hold_one(prepare(), pool)
    assert kinds(found) == [DRAFT] * 3 + COMPARED + [CRITIQUE, REVISION] + COMPARED
    assert found.dialogue.status == "finished"
    assert found.dialogue.stop_reason == "revision accepted"
    assert final_text(found) == GOOD
    assert found.turns[2].note == "copy of the input"
    by_source = {row.source: row for row in found.preferences}
    assert set(by_source) == {"candidates", "revision", "gate"}
    texts = {turn.id: turn.content for turn in found.turns}
    for row, chosen, rejected in (
        (by_source["candidates"], BLAND, LOST),
        (by_source["revision"], GOOD, BLAND),
        (by_source["gate"], GOOD, COPY),
    ):
        assert (texts[row.chosen_turn_id], texts[row.rejected_turn_id]) == (chosen, rejected)
        assert 0 < row.margin <= 1 or row.source == "gate"


def test_the_critique_is_about_the_better_draft_and_its_suggestion_reaches_the_student(prepare: Prepare) -> None:
    pool = ScriptedPool([LOST, BLAND, COPY], [GOOD])
    found = hold_one(prepare(), pool)
    [critique] = found.critiques
    texts = {turn.id: turn.content for turn in found.turns}
    assert critique.parse_ok
    assert texts[critique.target_turn_id] == BLAND
    revision = found.turns[6]
    assert revision.kind is REVISION
    assert revision.parent_turn_id == critique.target_turn_id
    said = [(message.role, message.content) for message in pool.requests[-1].messages]
    assert [role for role, _ in said] == ["system", "user", "assistant", "user"]
    assert said[1][1] == SENTENCE
    assert said[2][1] == BLAND
    assert critique.suggestion in said[3][1]


def test_every_turn_says_where_it_came_from(prepare: Prepare) -> None:
    found = hold_one(prepare(), ScriptedPool([BLAND, LOST, COPY], [GOOD]), version=4)
    student = [turn for turn in found.turns if turn.agent == "student"]
    critic = [turn for turn in found.turns if turn.agent == "critic"]
    assert len(student) + len(critic) == len(found.turns)
    assert {turn.adapter_version for turn in student} == {4}
    assert {turn.model_resolved for turn in critic} == {"sim-critic"}
    assert all(turn.prompt_hash and turn.template_hash and turn.seed is not None for turn in found.turns)
    assert all(turn.input_tokens > 0 and turn.output_tokens > 0 for turn in found.turns)
    assert len({turn.seed for turn in student}) == len(student), "each draft is a sample of its own"


def test_without_a_valid_draft_the_teacher_demonstrates_at_once(prepare: Prepare) -> None:
    found = hold_one(prepare(), ScriptedPool([COPY, "Oh.", ""]))
    assert kinds(found) == [DRAFT] * 3 + [DEMONSTRATION]
    assert [turn.note for turn in found.turns[:3]] == ["copy of the input", "too short", "empty"]
    assert found.dialogue.stop_reason == "teacher demonstrated"
    assert final_text(found) == found.turns[3].content
    shown, *drafts = found.turns[3], *found.turns[:3]
    assert [(row.source, row.chosen_turn_id) for row in found.preferences] == [("gate", shown.id)] * 3
    assert {row.rejected_turn_id for row in found.preferences} == {draft.id for draft in drafts}


@pytest.mark.parametrize("revision", [BLAND, COPY, ""])
def test_a_revision_that_says_nothing_new_is_not_compared(prepare: Prepare, revision: str) -> None:
    found = hold_one(prepare(), ScriptedPool([BLAND, LOST, COPY], [revision]))
    assert kinds(found) == [DRAFT] * 3 + COMPARED + [CRITIQUE, REVISION, DEMONSTRATION]
    assert found.dialogue.stop_reason == "teacher demonstrated"
    assert [row.source for row in found.preferences if row.verdict_id is not None] == ["candidates"]


def test_a_worse_revision_is_refused_and_the_draft_preferred(prepare: Prepare) -> None:
    found = hold_one(prepare(), ScriptedPool([BLAND, COPY, COPY], [LOST]))
    assert kinds(found) == [DRAFT] * 3 + [CRITIQUE, REVISION] + COMPARED + [DEMONSTRATION]
    texts = {turn.id: turn.content for turn in found.turns}
    [row] = [row for row in found.preferences if row.verdict_id is not None]
    assert (row.source, texts[row.chosen_turn_id]) == ("revision", BLAND)
    assert found.dialogue.stop_reason == "teacher demonstrated"


def test_drafts_of_very_different_length_are_not_compared(prepare: Prepare) -> None:
    stage = prepare(dialogue={"candidates": 2}, preferences={"length_ratio": [0.8, 1.25]})
    found = hold_one(stage, ScriptedPool([BLAND, "The kettle broke again."], [GOOD]))
    assert kinds(found) == [DRAFT] * 2 + [CRITIQUE, REVISION] + COMPARED


def test_with_no_revisions_allowed_the_teacher_follows_the_verdict(prepare: Prepare) -> None:
    found = hold_one(prepare(dialogue={"candidates": 3, "max_revisions": 0}), ScriptedPool([BLAND, LOST, COPY]))
    assert kinds(found) == [DRAFT] * 3 + COMPARED + [DEMONSTRATION]


def test_with_no_revisions_allowed_a_lone_draft_is_not_revised_either(prepare: Prepare) -> None:
    found = hold_one(prepare(dialogue={"candidates": 3, "max_revisions": 0}), ScriptedPool([BLAND, COPY, COPY]))
    assert kinds(found) == [DRAFT] * 3 + [DEMONSTRATION]


def test_a_second_revision_may_succeed_where_the_first_did_not(prepare: Prepare) -> None:
    stage = prepare(dialogue={"candidates": 2, "max_revisions": 2})
    found = hold_one(stage, ScriptedPool([BLAND, LOST], [LOST + " Really.", GOOD]))
    assert kinds(found) == [DRAFT] * 2 + COMPARED + [CRITIQUE, REVISION, *COMPARED] * 2
    assert found.dialogue.stop_reason == "revision accepted"
    assert final_text(found) == GOOD
    # the second try starts from the draft that the first revision could not beat
    assert found.turns[9].parent_turn_id == found.turns[0].id


def test_after_two_revisions_in_vain_the_teacher_demonstrates(prepare: Prepare) -> None:
    stage = prepare(dialogue={"candidates": 2, "max_revisions": 2})
    found = hold_one(stage, ScriptedPool([BLAND, LOST], [BLAND, LOST + " Really."]))
    assert kinds(found) == (
        [DRAFT] * 2 + COMPARED + [CRITIQUE, REVISION] + [CRITIQUE, REVISION, *COMPARED] + [DEMONSTRATION]
    )


def test_the_teachers_text_is_preferred_where_the_student_did_not_get_there(prepare: Prepare) -> None:
    found = hold_one(prepare(dialogue={"candidates": 3, "max_revisions": 0}), ScriptedPool([BLAND, LOST, COPY]))
    assert [row.chosen_turn_id for row in found.preferences if row.source == "teacher"] == [found.turns[-1].id]


def test_without_a_rescue_the_dialogue_ends_with_the_students_best(prepare: Prepare) -> None:
    stage = prepare(dialogue={"candidates": 3, "max_revisions": 0, "teacher_fallback": False})
    found = hold_one(stage, ScriptedPool([BLAND, LOST, COPY]))
    assert kinds(found) == [DRAFT] * 3 + COMPARED
    assert (found.dialogue.status, found.dialogue.stop_reason) == ("finished", "compared")
    assert final_text(found) == BLAND


def test_a_tournament_finds_the_best_and_the_worst_and_every_comparison_may_be_learned_from(prepare: Prepare) -> None:
    stage = prepare(
        dialogue={"candidates": 4, "max_revisions": 0, "selection": "tournament", "teacher_fallback": False},
        preferences={"length_ratio": [0.1, 10.0]},
    )
    found = hold_one(stage, ScriptedPool([LOST, BLAND, GOOD, BLANDER]))
    # Two matches, then the winners' and the losers' final, then best against worst.
    assert kinds(found) == [DRAFT] * 4 + COMPARED * 5
    assert final_text(found) == GOOD
    said = {turn.id: turn.content for turn in found.turns}
    pairs = [(said[row.chosen_turn_id], said[row.rejected_turn_id]) for row in found.preferences]
    assert (GOOD, LOST) in pairs
    assert all(chosen != LOST and rejected != GOOD for chosen, rejected in pairs)


def test_another_attempt_at_the_same_draft_gets_another_critique(prepare: Prepare) -> None:
    stage = prepare(dialogue={"candidates": 2, "max_revisions": 3, "teacher_fallback": False})
    found = hold_one(stage, ScriptedPool([BLAND, COPY], [LOST, COPY, LOST]))
    critiques = [turn for turn in found.turns if turn.kind is CRITIQUE]
    assert len(critiques) == 3
    assert len({turn.request_key for turn in critiques}) == 3
    assert found.dialogue.stop_reason == "revisions used up"


def test_a_teacher_that_refuses_leaves_the_students_best(prepare: Prepare, serve: Serve) -> None:
    stage = prepare(url=serve(faults={"refusal": 1.0}), dialogue={"candidates": 3, "max_revisions": 0})
    found = hold_one(stage, ScriptedPool([BLAND, COPY, COPY]))
    assert kinds(found) == [*[DRAFT] * 3, DEMONSTRATION]
    assert found.turns[-1].note == "refusal"
    assert found.dialogue.status == "finished"
    assert found.dialogue.stop_reason == "teacher refused"
    assert final_text(found) == BLAND


def test_a_critic_that_refuses_fails_the_dialogue_and_the_reason_is_kept(prepare: Prepare, serve: Serve) -> None:
    found = hold_one(prepare(url=serve(faults={"refusal": 1.0})), ScriptedPool([BLAND, LOST, COPY]))
    assert found.dialogue.status == "failed"
    assert "ReplyError: the critic declines to compare" in (found.dialogue.error or "")
    assert kinds(found) == [DRAFT] * 3


def test_holding_a_dialogue_again_asks_nobody_and_says_nothing_new(prepare: Prepare, store: Store) -> None:
    stage = prepare()
    first = ScriptedPool([BLAND, LOST, COPY], [GOOD])
    before = hold_one(stage, first)
    asked = store.count(LLMCall)
    store.update(Dialogue, before.dialogue.id, status="pending", stop_reason=None, final_turn_id=None)
    nobody = ScriptedPool([])
    stage.url = "http://127.0.0.1:9/v1"  # where nobody answers
    after = hold_one(stage, nobody)
    assert nobody.requests == []
    assert store.count(LLMCall) == asked
    assert after.turns == before.turns
    assert after.preferences == before.preferences
    assert after.dialogue.stop_reason == "revision accepted"


def test_a_dialogue_goes_on_from_any_turn_at_which_it_was_interrupted(prepare: Prepare, store: Store) -> None:
    stage = prepare()
    first = ScriptedPool([BLAND, LOST, COPY], [])

    class _ProcessEnded(BaseException):
        pass

    async def interrupted(request: Any) -> Any:
        if len(request.messages) > 2:
            raise _ProcessEnded
        return await ScriptedPool.generate(first, request)

    first.generate = interrupted  # type: ignore[method-assign] # the student's process ends while it revises
    with pytest.raises(_ProcessEnded):
        hold_one(stage, first)
    asyncio.run(store.keep(updating(Run, "RUN1", seconds=0.0)))  # what was handed in before is written before
    said = store.select(Turn, order_by="seq")
    assert [turn.kind for turn in said] == [DRAFT] * 3 + COMPARED + [CRITIQUE]
    second = ScriptedPool([], [GOOD])
    found = hold_one(stage, second)
    assert len(second.requests) == 1
    assert found.turns[:6] == said
    assert found.dialogue.stop_reason == "revision accepted"


def test_endings_heard_too_often_reach_the_critic(prepare: Prepare, store: Store) -> None:
    hold_one(prepare(), ScriptedPool([BLAND, LOST, COPY], [GOOD]), overused=["jealous of the kitchen"])
    critic = store.select(LLMCall, role="critic")
    assert critic
    prompts = store.prompts(call.prompt_hash for call in critic)
    assert all("jealous of the kitchen" in prompts[call.prompt_hash][1]["content"] for call in critic)


def test_of_the_drafts_that_one_gate_turned_away_the_first_is_rejected(prepare: Prepare) -> None:
    stage = prepare(dialogue={"candidates": 4, "max_revisions": 0, "teacher_fallback": False})
    found = hold_one(stage, ScriptedPool([COPY, BLAND, COPY + "!", "Oh."]))
    said = {turn.id: turn.content for turn in found.turns}
    assert [(said[row.chosen_turn_id], said[row.rejected_turn_id]) for row in found.preferences] == [
        (BLAND, COPY),
        (BLAND, "Oh."),
    ]
    assert {(row.source, row.verdict_id, row.margin) for row in found.preferences} == {("gate", None, 0.0)}


@pytest.mark.parametrize("turned_away", [False, True])
def test_endings_heard_too_often_can_be_turned_away_as_by_a_gate(prepare: Prepare, *, turned_away: bool) -> None:
    way = "turned_away" if turned_away else "told"
    stage = prepare(dialogue={"candidates": 3, "max_revisions": 0, "overused_endings": way})
    overused = ["of the kitchen"]
    found = hold_one(stage, ScriptedPool([GOOD, BLAND, LOST]), overused=overused)
    notes = {turn.content: turn.note for turn in found.turns if turn.agent == "student"}
    assert notes == {GOOD: "overused ending" if turned_away else None, BLAND: None, LOST: None}
    assert [row.source for row in found.preferences if row.source == "gate"] == ["gate"] * turned_away


@pytest.mark.parametrize("form", ["critique", "hint"])
def test_a_hint_says_what_is_missing_and_no_word_of_how_the_text_could_go(prepare: Prepare, form: str) -> None:
    pool = ScriptedPool([BLAND, LOST, COPY], [GOOD])
    [critique] = hold_one(prepare(dialogue={"candidates": 3, "critique": form}), pool).critiques
    told = pool.requests[-1].messages[-1].content
    assert critique.suggestion in told
    assert (critique.suggestion == critique.missing) is (form == "hint")
    assert ("kettle" in told) is (form == "critique")


# Python objects in place of models


def test_a_scorer_is_a_critic_that_asks_nobody_and_writes_no_critique(prepare: Prepare, store: Store) -> None:
    stage = prepare(cast={"critic": {"use": "length"}}, dialogue={"candidates": 2, "teacher_fallback": False})
    found = hold_one(stage, ScriptedPool([BLAND, BLANDER]))
    assert kinds(found) == [DRAFT, DRAFT, *COMPARED]
    assert found.dialogue.stop_reason == "compared"
    assert final_text(found) == BLANDER
    assert store.count(LLMCall) == 0
    [verdict] = found.verdicts
    assert (verdict.outcome, verdict.method, verdict.consistent) == ("loss", "score", True)
    said = found.turns[2:]
    assert [(turn.model, turn.agent, turn.prompt_hash, turn.request_key) for turn in said] == [
        ("length", "critic", None, None)
    ] * 2
    assert [float(turn.content) for turn in said] == [len(words(BLAND)), len(words(BLANDER))]


class Brief:
    """Likes short texts, and says so."""

    def compare(self, _input: str, first: str, second: str) -> float:
        return 0.9 if len(first) < len(second) else 0.1

    def criticise(self, _input: str, draft: str) -> dict[str, str]:
        return {"missing": f"{len(draft)} characters are many", "suggestion": "Be brief."}


def test_an_object_that_criticises_has_its_drafts_revised(prepare: Prepare, store: Store) -> None:
    stage = prepare(cast={"critic": {"use": f"{__name__}:Brief"}}, dialogue={"candidates": 2})
    pool = ScriptedPool([BLAND, BLANDER], ["The kettle broke."])
    found = hold_one(stage, pool)
    assert kinds(found) == [DRAFT, DRAFT, *COMPARED, CRITIQUE, REVISION, *COMPARED]
    assert found.dialogue.stop_reason == "revision accepted"
    assert pool.requests[-1].messages[-1].content == "Be brief."
    assert store.count(LLMCall) == 0
    assert {turn.model for turn in found.turns if turn.agent == "critic"} == {f"{__name__}:Brief"}


def test_a_scorer_sits_on_a_jury_beside_a_model(prepare: Prepare) -> None:
    stage = prepare(
        cast={"jury": [{"use": "length"}]}, dialogue={"candidates": 2, "max_revisions": 0, "teacher_fallback": False}
    )
    found = hold_one(stage, ScriptedPool([BLAND, GOOD]))
    assert [turn.model for turn in found.turns if turn.kind is VERDICT] == ["sim-critic"] * 2 + ["length"] * 2
    assert found.verdicts[0].method == "logprobs"


def test_an_object_that_fails_fails_its_dialogue_alone(prepare: Prepare) -> None:
    stage = prepare(cast={"critic": {"use": "mine:broken"}}, dialogue={"candidates": 2})

    def broken(_input: str, _outputs: list[str]) -> list[float]:
        raise ValueError("no taste today")

    stage.objects["cast.critic"] = broken
    found = hold_one(stage, ScriptedPool([BLAND, GOOD]))
    assert found.dialogue.status == "failed"
    assert found.dialogue.error is not None
    assert found.dialogue.error.startswith("PlugError: scorer broken failed: ValueError: no taste today")
