"""What takes part in batches comes to what it comes to one by one."""

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.endpoints import batches
from openmic.core.ids import derive_id
from openmic.core.records import JudgedOutput, Split
from openmic.graph.context.replies import batching
from openmic.graph.context.run_context import RunContext
from openmic.graph.rollout.recording import record_verdict
from openmic.graph.runs.rejudge import Rejudging
from openmic.graph.stages import promotion
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.graph.stages.evaluate import evaluate
from openmic.graph.stages.retry import retry_failed
from openmic.store import Adapter, Dialogue, LLMCall, Run, Store, Turn, VerdictRow

from ...agents.batch_endpoint import BatchEndpoint
from ...agents.scripted_endpoint import Answer, Asked, failure
from ..conftest import Bench, Prepare, ScriptedPool, Serve, config_of, example_of, run_row

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


def test_references_that_failed_are_asked_again_in_a_batch(
    prepare: Prepare, endpoint: BatchEndpoint, store: Store
) -> None:
    async def demonstrate(context: RunContext) -> None:
        promotion.record_base(context)
        await demonstrate_all(context)

    async def again(context: RunContext) -> None:
        store.add(
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
        await retry_failed(context)

    held_out = [example_of(f"Kettle number {number} broke again this morning.", Split.TEST) for number in range(5)]
    bench, well = prepare([*INPUTS[:2], *held_out], endpoint.base_url, cast=CAST), endpoint.chat
    refused = failure(400, "bad manners")
    endpoint.chat = lambda asked, number: refused if "Kettle number" in json.dumps(asked.body) else well(asked, number)
    bench.play(ScriptedPool([TEXT]), demonstrate)
    assert store.count(Dialogue, status="failed") == len(held_out)
    endpoint.chat, before = well, len(endpoint.batches)
    bench.play(ScriptedPool([TEXT]), again)
    assert store.count(Dialogue, status="failed") == 0
    assert [len(endpoint.requests(batch)) for batch in range(before, len(endpoint.batches))] == [len(held_out) - 1]


def test_a_critic_judges_again_in_one_batch(
    prepare: Prepare, endpoint: BatchEndpoint, store: Store, tmp_path: Path
) -> None:
    async def compare_twice(context: RunContext) -> None:
        promotion.record_base(context)
        await demonstrate_all(context)
        for verdict in store.select(VerdictRow):
            dialogue = store.get(Dialogue, verdict.dialogue_id)
            assert dialogue is not None
            said, example = store.select(Turn, dialogue_id=dialogue.id), context.example(dialogue.example_id)
            [first] = [turn for turn in said if turn.id == verdict.first_turn_id]
            pair = {verdict.first_turn_id, verdict.second_turn_id}
            [third] = [turn for turn in said if turn.kind == "demonstration" and turn.id not in pair]
            found = await context.critic.compare(example.value, first.content, third.content)
            await record_verdict(store, dialogue, 50, found, first, third, source="teacher_pair")

    sections: dict[str, Any] = {"imitation": {"demonstrations": 3}, "preferences": {"teacher_pairs": True}}
    critic = {"critic": {"model": "sim-critic", "batch": True}}
    bench = prepare(INPUTS, endpoint.base_url, cast=CAST | critic, **sections)
    bench.play(ScriptedPool([TEXT]), compare_twice)
    before = len(endpoint.batches)
    store.add(run_row(bench.config, tmp_path, id="RUN2", kind="rejudge", source_run_id="RUN1"))
    bench.play(ScriptedPool([]), lambda context: Rejudging(context).judge_all(), "RUN2")
    judged = store.select(VerdictRow, run_id="RUN2")
    assert {(row.first_turn_id, row.second_turn_id) for row in judged} == {
        (row.first_turn_id, row.second_turn_id) for row in store.select(VerdictRow, run_id="RUN1")
    }
    asked = 2 * len(judged)
    assert len(judged) == 4
    assert [len(endpoint.requests(batch)) for batch in range(before, len(endpoint.batches))] == [asked - 1]
    assert sorted(row.batched for row in store.select(LLMCall, run_id="RUN2")) == [0] + [1] * (asked - 1)
    run = store.get(Run, "RUN2")
    assert run is not None
    assert [record["ended"] for record in run.batches] == [True]
