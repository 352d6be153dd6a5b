"""What the teacher writes passes the gates of the student's drafts, or is turned away with its reason."""

from typing import Any

import pytest

from openmic.core.errors import EndpointError
from openmic.core.records import Split, TurnKind
from openmic.graph.context.run_context import RunContext
from openmic.graph.report import run_status
from openmic.graph.rollout.overused import overused_before
from openmic.graph.stages.demonstrate import demonstrate_all, demonstrations
from openmic.graph.training_data.assemble import teacher_texts
from openmic.store import Dialogue, Run, Store, Turn

from ...agents.scripted_endpoint import Answer, ScriptedEndpoint, completion
from ..conftest import Prepare, ScriptedPool, example_of

INPUTS = [
    example_of("The kettle in our kitchen broke again this morning."),
    example_of("The bus left without me.", Split.TEST),
]
GOOD, OTHER = "The kettle has gone on strike for warmer water.", "Our kettle is now a very round paperweight."


@pytest.fixture
def teacher(prepare: Prepare) -> Any:
    """Has a scripted teacher demonstrate; returns the inputs with the texts that count."""

    def run(text: str, **choice: Any) -> dict[Split, list[str]]:
        with ScriptedEndpoint() as endpoint:
            endpoint.chat = lambda asked, number: Answer(body=completion(text, **choice))
            stage = prepare(INPUTS, endpoint.base_url, imitation={"demonstrations": 3})

            async def act(context: RunContext) -> dict[Split, list[str]]:
                await demonstrate_all(context)
                used = {turn.content for turn in teacher_texts(context)}
                found = {
                    split: [turn.content for _, turns in demonstrations(context, split) for turn in turns]
                    for split in (Split.TRAIN, Split.TEST)
                }
                assert used == set(found[Split.TRAIN])
                return found

            return stage.play(ScriptedPool([]), act)

    return run


def status(store: Store) -> dict[str, Any]:
    run = store.get(Run, "RUN1")
    assert run is not None
    return run_status(store, run)


def test_what_stands_around_the_outputs_is_turned_away_and_counted(teacher: Any, store: Store) -> None:
    thought = "<think>1. A kettle that is tired.\n2. A strike of kettles.</think>"
    found = teacher(f"{thought}Sure! Here are three:\n\n1. {GOOD}\n2. Ha.\n3. {OTHER}\n\nLet me know!")
    assert found == {Split.TRAIN: [GOOD, OTHER], Split.TEST: [GOOD]}
    counts = status(store)["funnel"]["demonstrations"]
    assert (counts["made"], counts["valid"]) == (10, 3)
    assert counts["rejected"] == {
        "closing remark": 2,
        "preamble": 2,
        "more than were asked for": 1,
        "too short": 2,
    }
    turns = store.select(Turn, run_id="RUN1", kind=TurnKind.DEMONSTRATION)
    assert not any("tired" in turn.content or "strike of" in turn.content for turn in turns)
    assert overused_before(store, "RUN1", 1) == []


def test_a_teacher_that_writes_no_answer_fails_the_inputs_and_says_why(teacher: Any, store: Store) -> None:
    reply = f"Here are three:\n1. {INPUTS[0].text}\n2. Ha.\n3. Once upon a time the kettle, having been"
    with pytest.raises(EndpointError, match="1 copy of the input, 1 too short, 1 cut off"):
        teacher(reply, finish_reason="length")
    train = store.select(Dialogue, run_id="RUN1", example_id=INPUTS[0].id)
    assert [row.status for row in train] == ["failed"]
    assert status(store)["funnel"]["demonstrations"]["rejected"]["cut off"] == 4
