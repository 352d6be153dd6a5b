"""An endpoint that a person has to mend ends the run, which goes on from there: nothing is marked as failed for it."""

from collections.abc import Awaitable, Callable

import pytest

from openmic.core.errors import EndpointLostError
from openmic.core.records import Stage
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages.collect import collect
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.store import Dialogue, Store

from ..conftest import Prepare, ScriptedPool, Serve, example_of

TRAIN = [example_of(f"Sentence number {number} is about a bus that left without me.") for number in range(5)]
TEXTS = [
    "My bus left without me, and so did my dignity.",
    "The bus left. It said it needed space.",
    "Buses leave. I stay.",
]


@pytest.mark.parametrize(
    ("stage", "act"),
    [
        (Stage.DEMONSTRATE, demonstrate_all),
        (Stage.COLLECT, lambda context: collect(context, 1)),
    ],
)
def test_a_wrong_key_ends_the_run_and_a_right_one_goes_on_with_it(
    prepare: Prepare,
    store: Store,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    act: Callable[[RunContext], Awaitable[None]],
) -> None:
    bench = prepare(TRAIN, serve(api_key="sk-right"), dialogue={"candidates": 3, "max_revisions": 0})
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EndpointLostError, match=r"after 1 attempt: .*key"):
        bench.play(ScriptedPool(TEXTS), act)
    assert store.count(Dialogue, status="failed") == 0
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    bench.play(ScriptedPool(TEXTS), act)
    assert {dialogue.status for dialogue in store.select(Dialogue, stage=stage)} == {"finished"}
