"""A task's own functions in a run: what they say is noted, and one that fails fails the dialogue it was called in."""

from pathlib import Path

from openmic.core.records import Generation, GenerationRequest
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.collect import collect
from openmic.store import Dialogue, Store, Turn

from ...agents.task_files import write_task
from ...agents.tasks import task_functions
from ..conftest import Prepare, ScriptedPool, example_of

HERE = task_functions.__name__
KETTLE, BUS = example_of("The kettle is about to break."), example_of("The bus is about to break.")
GATES = [{"use": f"{HERE}:Without", "kwargs": {"word": "gin"}}, f"{HERE}:fails_on_buses"]


class ByInput(ScriptedPool):
    """Says something about a bus where it is asked about one."""

    async def generate(self, request: GenerationRequest) -> Generation:
        generation = await super().generate(request)
        about_bus = "bus" in request.messages[1].content
        object.__setattr__(
            generation, "text", generation.text.replace("kettle", "bus") if about_bus else generation.text
        )
        return generation


def test_what_gates_say_is_noted_and_a_gate_that_fails_fails_one_dialogue(
    prepare: Prepare, store: Store, tmp_path: Path
) -> None:
    task = write_task(tmp_path, cleaning={"functions": [f"{HERE}:tidy"]}, validity={"functions": GATES})
    bench = prepare([KETTLE, BUS], task=str(task), dialogue={"candidates": 3, "max_revisions": 0, "concurrency": 1})
    drafts = ["Some gin for the kettle, please!", "The kettle handed in its notice!", "Even the kettle wants a break!"]

    async def act(context: RunContext) -> None:
        promotion.record_base(context)
        await collect(context, 1)

    bench.play(ByInput(drafts), act)
    kettle, bus = (store.select(Dialogue, example_id=example.id)[0] for example in (KETTLE, BUS))
    assert kettle.status == "finished"
    said = {turn.content: turn.note for turn in store.select(Turn, dialogue_id=kettle.id, kind="draft")}
    assert said == {
        "Some gin for the kettle, please": "says gin",
        "The kettle handed in its notice": None,
        "Even the kettle wants a break": None,
    }
    assert bus.status == "failed"
    assert bus.error is not None
    assert "task_functions:fails_on_buses (validity.functions.1) failed for '" in bus.error
    assert "LookupError: no bus known" in bus.error
