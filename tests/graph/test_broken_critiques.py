"""Critics that cannot write JSON: two hundred broken critiques, and not one dialogue that fails for them."""

from collections.abc import Iterator

import pytest

from openmic.core.records import Stage
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages.collect import collect
from openmic.store import CritiqueRow, Dialogue, Turn

from ..agents.broken_critiques import MANNERS, broken_critique
from ..agents.scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion
from .conftest import Prepare, ScriptedPool, example_of

DIALOGUES = 200
DRAFTS = ["The kettle is about to retire to a warm island.", "Oh."]
"""One that is valid: it goes to the critic without a comparison."""


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as scripted:
        yield scripted


@pytest.mark.slow
def test_no_dialogue_fails_for_a_broken_critique(prepare: Prepare, endpoint: ScriptedEndpoint) -> None:
    """Every critique comes back broken, asked again or not; comparisons and demonstrations are answered plainly."""
    critiques = [broken_critique(number) for number in range(DIALOGUES)]
    assert {broken.manner for broken in critiques} == {*MANNERS, "cut off"}
    inputs = [example_of(f"Sentence number {number:03} is about a kettle.") for number in range(DIALOGUES)]
    broken_for = dict(zip((example.text for example in inputs), critiques, strict=True))

    def script(asked: Asked, number: int) -> Answer:
        prompt: str = asked.body["messages"][-1]["content"]
        if "<draft>" not in prompt:
            return Answer(body=completion("1" if "<first>" in prompt else "1. The kettle sulks about it all."))
        sentence = prompt.split("<sentence>")[1].split("</sentence>", maxsplit=1)[0]
        return Answer(body=completion(broken_for[sentence].reply))

    endpoint.chat = script
    stage = prepare(inputs, endpoint.base_url, dialogue={"candidates": 2, "max_revisions": 1}, verdict={"samples": 1})
    pool = ScriptedPool(DRAFTS, DRAFTS[:1] * DIALOGUES)  # a revision that changes nothing is not compared

    async def act(context: RunContext) -> None:
        await collect(context, 1)

    stage.play(pool, act)
    dialogues = stage.store.select(Dialogue, stage=Stage.COLLECT)
    assert [(row.status, row.error) for row in dialogues] == [("finished", None)] * DIALOGUES

    read = {critique.turn_id: critique for critique in stage.store.select(CritiqueRow)}
    texts = {example.id: example.text for example in inputs}
    of_turn = {turn.id: turn.dialogue_id for turn in stage.store.select(Turn, id=list(read))}
    example_of_dialogue = {row.id: row.example_id for row in dialogues}
    assert len(read) == DIALOGUES
    for turn, critique in read.items():
        broken = broken_for[texts[example_of_dialogue[of_turn[turn]]]]
        if broken.suggestion is not None:
            assert broken.suggestion.strip(" .,;:'\"“”") in critique.suggestion, broken
    told = [request.messages[-1].content for request in pool.requests if request.messages[-2].role == "assistant"]
    assert len(told) == DIALOGUES
    assert all(told)
