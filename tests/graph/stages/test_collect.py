import pytest

from openmic.core.errors import EndpointError
from openmic.core.records import Generation, GenerationRequest, Split, Stage
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.collect import collect, round_inputs
from openmic.store import Dialogue, Store

from ..conftest import Bench, Prepare, ScriptedPool, Serve, example_of

TRAIN = [example_of(f"Sentence number {n} is about a kettle.") for n in range(5)]
TEXTS = ["The kettle is about to retire to a warm island.", "A sentence is about some kettle that we all own.", "Oh."]


def inputs(stage: Bench, number: int) -> list[int]:
    context = stage.context(ScriptedPool([]), None)  # type: ignore[arg-type] # nothing is asked
    return [TRAIN.index(example) for example in round_inputs(context, number)]


def test_each_round_goes_on_where_the_last_one_ended_and_begins_anew_after_all(prepare: Prepare) -> None:
    held_out = [example_of("Held out.", Split.TEST), example_of("Held out too.", Split.DEV)]
    stage = prepare([held_out[0], *TRAIN[:3], held_out[1], *TRAIN[3:]], dialogue={"inputs": 2})
    assert [inputs(stage, number) for number in (1, 2, 3, 4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]


@pytest.mark.parametrize("wanted", [None, 5, 99])
def test_all_inputs_are_talked_about_once_in_each_round_where_there_are_no_more(
    prepare: Prepare, wanted: int | None
) -> None:
    stage = prepare(TRAIN, dialogue={"inputs": wanted})
    assert inputs(stage, 1) == inputs(stage, 2) == [0, 1, 2, 3, 4]


def hold_round(stage: Bench, pool: ScriptedPool, number: int = 1) -> None:
    async def act(context: RunContext) -> None:
        promotion.record_base(context)
        await collect(context, number)

    stage.play(pool, act)


def test_a_round_holds_a_dialogue_for_each_input_and_finds_them_held_afterwards(prepare: Prepare, store: Store) -> None:
    stage = prepare(TRAIN, dialogue={"candidates": 3, "max_revisions": 0})
    pool = ScriptedPool(TEXTS)
    hold_round(stage, pool)
    rows = store.select(Dialogue, stage=Stage.COLLECT)
    assert [row.status for row in rows] == ["finished"] * 5
    assert len(pool.requests) == 15
    assert [ref.version for ref in pool.loaded] == [0]
    again = ScriptedPool([])
    hold_round(stage, again)
    assert again.requests == []
    assert store.select(Dialogue, stage=Stage.COLLECT) == rows


class StoppedError(Exception):
    """Stands for an interruption."""


class StoppingPool(ScriptedPool):
    """Answers some requests, and then no more."""

    async def generate(self, request: GenerationRequest) -> Generation:
        if len(self.requests) == 8:
            raise StoppedError
        return await super().generate(request)


def test_a_round_that_is_resumed_holds_every_dialogue_to_its_own_end(prepare: Prepare, store: Store) -> None:
    stage = prepare(TRAIN, dialogue={"candidates": 3, "max_revisions": 0, "concurrency": 1})
    with pytest.raises(StoppedError):
        hold_round(stage, StoppingPool(TEXTS))
    finished = store.count(Dialogue, status="finished")
    assert 0 < finished < 5
    hold_round(stage, ScriptedPool(TEXTS))
    dialogues = store.select(Dialogue, stage=Stage.COLLECT)
    assert [dialogue.status for dialogue in dialogues] == ["finished"] * 5
    for dialogue in dialogues:
        found = store.conversation(dialogue.id)
        assert dialogue.final_turn_id in {turn.id for turn in found.turns}
        assert found.verdicts


def test_a_dialogue_that_failed_leaves_the_others_alone(prepare: Prepare, store: Store, serve: Serve) -> None:
    stage = prepare(TRAIN, serve(faults={"refusal": 0.75}), dialogue={"candidates": 3, "max_revisions": 0})
    hold_round(stage, ScriptedPool(TEXTS))
    statuses = [row.status for row in store.select(Dialogue, stage=Stage.COLLECT)]
    assert set(statuses) == {"finished", "failed"}


def test_a_round_in_which_all_dialogues_fail_ends_the_run_with_the_reason(
    prepare: Prepare, store: Store, serve: Serve
) -> None:
    stage = prepare(TRAIN, serve(faults={"refusal": 1.0}))
    with pytest.raises(EndpointError, match="all 5 dialogues of round 1 failed: 5 with ReplyError"):
        hold_round(stage, ScriptedPool(TEXTS))
    assert store.count(Dialogue, status="failed") == 5
