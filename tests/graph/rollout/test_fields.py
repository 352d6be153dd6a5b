"""Inputs of several fields, from the configuration to what everybody is asked."""

from pathlib import Path

import pytest

from openmic.core.inputs import example_of as made_of
from openmic.core.records import Example, Stage, TurnKind
from openmic.graph.context.opening import examples_of
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.collect import collect
from openmic.graph.stages.demonstrate import demonstrate_one
from openmic.graph.training_data.assemble import demonstration_examples
from openmic.store import Dialogue, LLMCall, Store, Turn

from ...agents.task_files import write_task
from ..conftest import Prepare, ScriptedPool

FIELDS = ["question", "context"]
VALUE = {"question": "What broke <b>?", "context": "The kettle in our kitchen broke again this morning."}
DRAFTS = [
    "The kettle gave notice this morning, again.",
    "context: the kettle, it seems, broke once more.",
    VALUE["context"],
]


@pytest.fixture
def example() -> Example:
    return made_of(VALUE, 0.0, 1e-9)


def test_everybody_is_asked_about_the_fields(prepare: Prepare, store: Store, tmp_path: Path, example: Example) -> None:
    student = {"draft": "{{ context }} | {{ question }}"}
    task = write_task(tmp_path, inputs=FIELDS, student=student)
    bench = prepare([example], task=str(task))
    assert examples_of(store, "RUN1") == [example]
    pool = ScriptedPool(DRAFTS, ["The kettle has retired to a warm island."] * 2)

    async def act(context: RunContext) -> None:
        await demonstrate_one(context, example, 2)
        promotion.record_base(context)
        await collect(context, 1)
        shown = demonstration_examples(context, store.select(Turn, kind=TurnKind.DEMONSTRATION))
        assert {one.example.messages[-1].content for one in shown} == {drafted}

    drafted = f"{VALUE['context']} | {VALUE['question']}"
    bench.play(pool, act)
    assert [row.error for row in store.select(Dialogue)] == [None, None]
    assert pool.requests[0].messages[-1].content == drafted
    said = {turn.content: turn.note for turn in store.select(Turn, kind=TurnKind.DRAFT)}
    assert said[VALUE["context"]] == "copy of the input"
    assert said[DRAFTS[0]] is None
    asked = [str(messages) for messages in store.prompts(call.prompt_hash for call in store.select(LLMCall)).values()]
    assert asked
    assert all("question: What broke &lt;b&gt;?" in call and f"context: {VALUE['context']}" in call for call in asked)
    assert {row.stage for row in store.select(Dialogue)} == {Stage.DEMONSTRATE, Stage.COLLECT}
