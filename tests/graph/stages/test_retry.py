"""Failed items are held again, those that a training has passed over stay; both are said."""

from collections import Counter
from contextlib import suppress

import pytest

from openmic.core.errors import EndpointError
from openmic.core.ids import derive_id
from openmic.core.records import Split, Stage
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.graph.stages.evaluate import evaluate
from openmic.graph.stages.retry import retry_failed
from openmic.store import Adapter, Dialogue, Evaluation, EvaluationItem, Store, overview

from ..conftest import Heard, Prepare, ScriptedPool, Serve, example_of

TRAIN = [example_of(f"Sentence number {number} is about a bus that left without me.") for number in range(12)]
TEST = [example_of(f"Kettle number {number} broke again this morning.", Split.TEST) for number in range(20)]
TEXT = "The kettle broke again, and the kettle has since hired a lawyer."


@pytest.fixture
def troubled(prepare: Prepare, store: Store, serve: Serve) -> tuple[list[str], Counter[str]]:
    """What is said in holding again what failed of a run whose every stage had failures, and how many had failed."""
    bench = prepare([*TRAIN, *TEST], serve(faults={"filtered": 0.25}))
    heard = Heard()

    async def demonstrate(context: RunContext) -> None:
        promotion.record_base(context)
        await demonstrate_all(context)

    async def judge(context: RunContext) -> None:
        context.store.add(
            Adapter(
                id=derive_id("RUN1", "adapter", 1),
                run_id="RUN1",
                version=1,
                stage="imitation",
                round=0,
                base_model="m",
                status="promoted",
            )
        )
        await evaluate(context, 0, Split.TEST)

    async def again(context: RunContext) -> None:
        context.progress = heard
        await retry_failed(context)

    bench.play(ScriptedPool([TEXT]), demonstrate)
    bench.play(ScriptedPool([TEXT]), judge)
    train = {example.id for example in TRAIN}
    before = Counter(f"{row.stage} {row.example_id in train}" for row in store.select(Dialogue, status="failed"))
    assert set(before) == {"demonstrate True", "demonstrate False", "evaluate False"}
    [evaluation] = store.select(Evaluation)
    assert evaluation.summary["n"] < len(TEST)
    bench.url = serve()
    bench.play(ScriptedPool([TEXT]), again)
    return heard.lines, before


def test_references_and_evaluations_are_held_again_and_the_summary_is_made_anew(
    troubled: tuple[list[str], Counter[str]], store: Store
) -> None:
    [evaluation] = store.select(Evaluation)
    held_out = [example.id for example in TEST]
    references = store.count(Dialogue, stage=Stage.DEMONSTRATE, status="finished", example_id=held_out)
    assert references >= len(TEST) - 2  # not every text of the teacher's is fit
    assert (evaluation.status, evaluation.summary["n"]) == ("finished", references)
    assert store.count(EvaluationItem, evaluation_id=evaluation.id) == references
    assert overview(store, store.resolve_run("RUN1"))["stages"]["evaluate"]["failed"] == 0
    failed = store.select(Dialogue, status="failed", example_id=held_out)
    assert not [row.error for row in failed if "filtered" in str(row.error)]


def test_what_a_training_has_passed_over_stays_and_is_told_with_its_number(
    troubled: tuple[list[str], Counter[str]], store: Store
) -> None:
    lines, before = troubled
    train = [example.id for example in TRAIN]
    left = store.select(Dialogue, status="failed", example_id=train)
    assert len(left) == before["demonstrate True"]
    failed = store.count(Dialogue, status="failed") - len(left)
    assert lines == [
        f"{before['demonstrate False'] + before['evaluate False']} failed items were held again; {failed} items are "
        "failed now",
        f"{len(left)} failed items stay as they are, since the student was trained without them: "
        f"0 dialogues, {len(left)} demonstrations",
    ]


def test_what_fails_again_is_told(prepare: Prepare, store: Store, serve: Serve) -> None:
    bench = prepare([*TRAIN, *TEST], serve(faults={"filtered": 0.25}))
    heard = Heard()

    async def act(context: RunContext) -> None:
        promotion.record_base(context)
        await demonstrate_all(context)
        await evaluate(context, 0, Split.TEST)
        context.progress = heard
        await retry_failed(context)

    bench.play(ScriptedPool([TEXT]), act)
    assert store.count(Dialogue, status="failed", stage=Stage.EVALUATE)
    assert f"{store.count(Dialogue, status='failed')} items are failed now" in heard.lines[0]


def test_where_nothing_failed_nobody_is_asked(prepare: Prepare, serve: Serve) -> None:
    bench = prepare(TEST[:3])
    heard = Heard()

    async def act(context: RunContext) -> None:
        context.progress = heard
        promotion.record_base(context)
        with suppress(EndpointError):  # of training inputs there are none
            await demonstrate_all(context)
        await evaluate(context, 0, Split.TEST)
        pool.requests.clear()
        await retry_failed(context)

    pool = ScriptedPool([TEXT])
    bench.play(pool, act)
    assert pool.requests == []
    assert heard.lines == ["nothing has failed: there is nothing to hold again"]
