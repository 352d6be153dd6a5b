"""Demonstrations, references and evaluations in batches come to what they come to one by one."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.endpoints import batches
from openmic.core.records import JudgedOutput, Split
from openmic.graph.context.replies import batching
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.graph.stages.evaluate import evaluate
from openmic.store import LLMCall, Store, Turn, VerdictRow

from ...agents.batch_endpoint import BatchEndpoint
from ...agents.scripted_endpoint import Answer, Asked
from ..conftest import Bench, Prepare, ScriptedPool, Serve, config_of, example_of

INPUTS = [
    example_of("The kettle in our kitchen broke again this morning."),
    example_of("My dentist called me twice about the same tooth."),
    example_of("My brother forgot our mother's birthday again.", Split.TEST),
    example_of("We waited two hours for the bus in the rain.", Split.TEST),
    example_of("Nobody came to the meeting about meetings.", Split.TEST),
]
TEXT = "The kettle broke again, and the kettle has since hired a lawyer."
CAST: dict[str, dict[str, Any]] = {
    "teacher": {"model": "sim-teacher", "batch": True},
    "critic": {"model": "sim-critic"},
    "judge": {"model": "sim-judge", "batch": True},
}


@pytest.fixture
def endpoint(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchEndpoint]:
    """Hands each request on to the simulated cast, within a batch and without."""
    monkeypatch.setattr(batching, "QUIET_S", 0.05)
    monkeypatch.setattr(batching, "FEWEST", 3)
    monkeypatch.setattr(batches, "FIRST_LOOK_S", 0.02)
    url = f"{serve()}/chat/completions"

    def chat(asked: Asked, number: int) -> Answer:
        sent = urllib.request.Request(url, json.dumps(asked.body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(sent) as reply:
            return Answer(body=json.load(reply))

    with BatchEndpoint() as running:
        running.chat = chat
        yield running


def test_a_stage_in_batches_comes_to_what_it_comes_to_one_by_one(
    prepare: Prepare, endpoint: BatchEndpoint, store: Store, empty_store: Path, tmp_path: Path
) -> None:
    async def act(context: RunContext) -> list[JudgedOutput]:
        promotion.record_base(context)
        await demonstrate_all(context)
        return await evaluate(context, 0, Split.TEST)

    sections: dict[str, Any] = {"imitation": {"demonstrations": 2}, "evaluation": {"critic": True}}
    bench = prepare(INPUTS, endpoint.base_url, cast=CAST, **sections)
    outputs = bench.play(ScriptedPool([TEXT]), act)
    assert len(outputs) == 3
    batched = {(row.role, row.batched) for row in store.select(LLMCall)}
    assert batched == {("teacher", 0), ("teacher", 1), ("judge", 0), ("judge", 1), ("critic", 0)}
    assert store.count(LLMCall, role="critic", batched=1) == 0
    said = sorted(turn.content for turn in store.select(Turn))
    p = sorted(row.p_forward for row in store.select(VerdictRow))

    shutil.copy(empty_store, tmp_path / "singly.db")
    singly = {role: settings | {"batch": False} for role, settings in CAST.items()}
    with Store.open(str(tmp_path / "singly.db")) as other:
        again = Bench(other, tmp_path, config_of(cast=singly, **sections), INPUTS, endpoint.base_url)
        assert again.play(ScriptedPool([TEXT]), act) == outputs
        assert sorted(turn.content for turn in other.select(Turn)) == said
        assert sorted(row.p_forward for row in other.select(VerdictRow)) == p
        assert other.count(LLMCall, batched=1) == 0
