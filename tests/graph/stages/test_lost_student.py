"""Students that answer nothing end the run, which goes on from there: no dialogue is marked as failed for it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from openmic.core.errors import GenerationError, StudentLostError, UnansweredError
from openmic.core.records import Generation, GenerationRequest, Split, Stage
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.collect import collect
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.graph.stages.evaluate import evaluate
from openmic.store import Dialogue, Store
from openmic.training.pool.own_fault import OwnFault

from ..conftest import Prepare, ScriptedPool, example_of

INPUTS = [example_of(f"Sentence number {number} is about a bus that left without me.") for number in range(4)]
INPUTS += [example_of(f"Sentence number {number} is about a kettle.", Split.TEST) for number in range(3)]
TEXTS = [
    "My bus left without me, and so did my dignity.",
    "The bus left. It said it needed space.",
    "Buses leave. I stay.",
]


class FailingPool(ScriptedPool):
    """Whose student fails for some of what it is asked, as a pool's would."""

    def __init__(self, fails: Callable[[GenerationRequest], Exception | None]) -> None:
        super().__init__(TEXTS)
        self.fault = OwnFault(self.answer)
        self.fails = fails

    async def generate(self, request: GenerationRequest) -> Generation:
        return await self.fault.ask(request)

    async def answer(self, request: GenerationRequest) -> Generation:
        if (error := self.fails(request)) is not None:
            raise error
        if request.id.startswith("plain"):
            return Generation(request.id, "OK", (1,), 5, request.adapter, "length", 0.0, 1.0, "script")
        return await super().generate(request)


async def collected(context: RunContext) -> None:
    promotion.record_base(context)
    await collect(context, 1)


async def evaluated(context: RunContext) -> None:
    promotion.record_base(context)
    await demonstrate_all(context)
    await evaluate(context, 0, Split.TEST)


@pytest.mark.parametrize("error", [GenerationError, UnansweredError, StudentLostError])
@pytest.mark.parametrize(("stage", "act"), [(Stage.COLLECT, collected), (Stage.EVALUATE, evaluated)])
def test_a_student_that_is_lost_fails_no_item_and_one_that_is_back_goes_on_with_them(
    prepare: Prepare,
    store: Store,
    stage: Stage,
    act: Callable[[RunContext], Awaitable[Any]],
    error: type[Exception],
) -> None:
    bench = prepare(INPUTS, dialogue={"candidates": 3, "max_revisions": 0})
    answers = iter(range(2))
    with pytest.raises(StudentLostError, match="no answer"):
        bench.play(FailingPool(lambda _: None if next(answers, None) is not None else error("no answer")), act)
    assert store.count(Dialogue, status="failed") == 0
    bench.play(ScriptedPool(TEXTS), act)
    assert {dialogue.status for dialogue in store.select(Dialogue, stage=stage)} == {"finished"}


@pytest.mark.parametrize("error", [GenerationError, UnansweredError])
def test_an_item_that_others_are_answered_beside_fails_alone(
    prepare: Prepare, store: Store, error: type[Exception]
) -> None:
    bench = prepare(INPUTS, dialogue={"candidates": 3, "max_revisions": 0})
    bench.play(FailingPool(lambda asked: error("too long") if "number 2" in str(asked.messages) else None), collected)
    dialogues = store.select(Dialogue, stage=Stage.COLLECT)
    assert [each.error for each in dialogues if each.status != "finished"] == ["GenerationError: too long"]
    assert len(dialogues) == 4
