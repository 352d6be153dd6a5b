"""An endpoint that echoes the key it was given, in every place there is: nothing that is kept or shown has it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.core.endpoints.secrets import without
from openmic.core.errors import EndpointLostError, OpenmicError
from openmic.core.records import Split
from openmic.graph.context.run_context import RunContext
from openmic.graph.runs.execution import execute
from openmic.graph.stages import promotion
from openmic.graph.stages.collect import collect
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.graph.stages.evaluate import evaluate
from openmic.store import Dialogue, LLMCall, Run, Store, Turn

from ..agents.scripted_endpoint import Answer, Asked, ScriptedEndpoint
from ..quirks.habits import usual
from .conftest import Prepare, ScriptedPool, example_of

KEY = "sk-planted-0123456789+/x"
TRAIN = [example_of(f"Sentence number {number} is about a bus that left without me.") for number in range(6)]
TEST = [example_of(f"Kettle number {number} broke again this morning.", Split.TEST) for number in range(4)]
TEXTS = [
    "My bus left without me, and so did my dignity.",
    "The bus left. It said it needed space.",
    "Buses leave. I stay.",
]


def echoing(asked: Asked, number: int) -> Answer:
    """The usual answer with the key beside all that is said, and now and then an error about it."""
    key = (asked.authorization or "").removeprefix("Bearer ")
    if number % 9 == 4:
        return Answer(400, {"error": {"message": f"content filtered for {key}", "code": "content_filter"}})
    body: dict[str, Any] = json.loads(json.dumps(usual(asked.body, number).body))
    body |= {"id": f"c-{key}", "model": f"m-{key}", "system_fingerprint": key, key: key}
    message = body["choices"][0]["message"]
    message |= {"reasoning_content": f"I was given {key}", "note": {"key": [key]}, key: 1}
    if not asked.body.get("logprobs"):
        message["content"] += f"\nby {key}"
    return Answer(body=body, headers={"x-echo": key, "set-cookie": f"key={key}"})


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedEndpoint]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ScriptedEndpoint() as endpoint:
        endpoint.chat = echoing
        yield endpoint


def left_behind(folder: Path) -> list[str]:
    """Files in which the key stands, byte by byte, however it is spelled."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("latin-1")
            if without(text, {KEY}) != text:
                found.append(str(path.relative_to(folder)))
    return found


def test_nothing_that_a_run_keeps_has_a_key_that_its_endpoint_echoes(
    prepare: Prepare, store: Store, echo: ScriptedEndpoint, tmp_path: Path
) -> None:
    bench = prepare([*TRAIN, *TEST], echo.base_url)

    async def act(context: RunContext) -> None:
        promotion.record_base(context)
        await demonstrate_all(context)
        await collect(context, 1)
        await evaluate(context, 0, Split.TEST)

    bench.play(ScriptedPool(TEXTS, [TEXTS[0]] * 40), act)
    calls = store.select(LLMCall)
    assert any("I was given …" in call.reply["thought"] for call in calls)
    assert any("…" in turn.content for turn in store.select(Turn))
    assert any("filtered for …" in str(row.error) for row in store.select(Dialogue, status="failed"))
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("status", [401, 302])
def test_what_ends_a_run_is_told_without_the_key(
    prepare: Prepare, store: Store, echo: ScriptedEndpoint, tmp_path: Path, status: int
) -> None:
    location = {"location": f"http://127.0.0.1:9/{KEY}?key={KEY}"} if status == 302 else {}
    echo.chat = lambda asked, number: Answer(status, {"error": {"message": f"no {KEY}", "code": KEY}}, location)
    bench = prepare([*TRAIN, *TEST], echo.base_url)

    async def fails(run: Run) -> None:
        raise lost.value

    with pytest.raises(EndpointLostError) as lost:
        bench.play(ScriptedPool(TEXTS), demonstrate_all)
    assert without(str(lost.value), {KEY}) == str(lost.value)
    with pytest.raises(OpenmicError):
        execute(store, "RUN1", fails)
    assert left_behind(tmp_path) == []


def test_what_a_function_says_of_a_key_is_not_kept(prepare: Prepare, store: Store, echo: ScriptedEndpoint) -> None:
    bench = prepare([*TRAIN], echo.base_url)
    bench.play(ScriptedPool(TEXTS), demonstrate_all)  # the process knows the key from here on

    async def fails(run: Run) -> None:
        raise OpenmicError(f"a scorer failed: no access with {KEY}")

    with pytest.raises(OpenmicError):
        execute(store, "RUN1", fails)
    run = store.get(Run, "RUN1")
    assert run is not None
    assert run.error == "OpenmicError: a scorer failed: no access with …"
