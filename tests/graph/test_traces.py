"""Traces of what is asked, as LangSmith's client sends them over HTTP, and as OpenTelemetry's spans."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from langsmith import Client, tracing_context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from openmic.agents.endpoints.traced import asked_for, traced
from openmic.core.records import Agent, LLMRequest, Message, Sampling, Split
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import promotion
from openmic.graph.stages.collect import collect
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.graph.stages.evaluate import evaluate
from openmic.store import LLMCall, Store, Turn

from .conftest import Bench, Prepare, ScriptedPool, example_of

TEXTS = [
    "My bus left without me, and so did my dignity.",
    "The bus left. It said it needed space.",
    "Buses leave. I stay.",
]
EXAMPLES = [
    *(example_of(f"Sentence number {number} is about a bus that left without me.") for number in range(2)),
    *(example_of(f"Kettle number {number} broke again this morning.", Split.TEST) for number in range(2)),
]

INGESTION = {
    "use_multipart_endpoint": False,
    "size_limit": 100,
    "size_limit_bytes": 20_000_000,
    "scale_up_nthreads_limit": 4,
    "scale_up_qsize_trigger": 1000,
    "scale_down_nempty_trigger": 4,
}
"""What LangSmith's client asks its server for: here, plain JSON."""


class Sink:
    """Stands where LangSmith is, and keeps what its client sends."""

    def __init__(self) -> None:
        sink, self.runs = self, dict[str, dict[str, Any]]()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer({"batch_ingest_config": INGESTION})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for run in [*body.get("post", []), *body.get("patch", [])]:
                    sink.runs.setdefault(run["id"], {}).update({key: value for key, value in run.items() if value})
                self._answer({})

            def _answer(self, value: Any) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def sink() -> Iterator[Sink]:
    found = Sink()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


async def everything(context: RunContext) -> None:
    promotion.record_base(context)
    await demonstrate_all(context)
    await collect(context, 1)
    await evaluate(context, 0, Split.TEST)


def play(bench: Bench, client: Client) -> None:
    with tracing_context(enabled=True, client=client, project_name="test"):
        bench.play(ScriptedPool(TEXTS, ["Even the bus had somewhere better to be than with me."] * 9), everything)
    client.flush()


def held_against_the_store(store: Store, found: list[dict[str, Any]]) -> None:
    """Every reply that was paid for has a trace, whose ids are those of a turn that its role said."""
    assert Counter(one["openmic_request"] for one in found) == Counter(call.key for call in store.select(LLMCall))
    turns = {turn.id: turn for turn in store.select(Turn)}
    by_request: dict[str, list[Turn]] = {}
    for turn in turns.values():
        by_request.setdefault(turn.request_key or "", []).append(turn)
    agents = set()
    for one in found:
        first, replies = turns[one["openmic_turn"]], by_request[one["openmic_request"]]
        agents.add(first.agent)
        assert {one["openmic_run"]} == {first.run_id} == {reply.run_id for reply in replies}
        assert {one["openmic_dialogue"]} == {first.dialogue_id} == {reply.dialogue_id for reply in replies}
        assert {first.agent} == {reply.agent for reply in replies}
        assert first.seq <= min(reply.seq for reply in replies)
    assert agents == {Agent.TEACHER, Agent.CRITIC, Agent.JUDGE}


@pytest.mark.parametrize(
    "sections", [{}, {"dialogue": {"candidates": 3, "selection": "tournament"}}, {"verdict": {"style": "cloze"}}]
)
def test_langsmith_has_the_stores_ids_of_every_request(
    prepare: Prepare, store: Store, sink: Sink, sections: dict[str, Any]
) -> None:
    play(prepare(EXAMPLES, **sections), Client(api_url=sink.url, api_key="none"))
    asked = [run for run in sink.runs.values() if run["name"] in {"teacher", "critic", "judge"}]
    held_against_the_store(store, [run["extra"]["metadata"] for run in asked])
    assert {"compare", "critique"} <= {run["name"] for run in sink.runs.values()}, "the steps that they stand within"


def test_opentelemetry_has_them_too(prepare: Prepare, store: Store) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="it comes with langsmith[otel]")
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    play(prepare(EXAMPLES), Client(api_key="none", tracing_mode="otel", otel_tracer_provider=provider))
    named = "langsmith.metadata."
    told = [
        {key.removeprefix(named): value for key, value in (span.attributes or {}).items() if key.startswith(named)}
        for span in exporter.get_finished_spans()
        if span.name in {"teacher", "critic", "judge"}
    ]
    held_against_the_store(store, told)


def test_without_a_dialogue_nothing_is_told_of_one() -> None:
    request = LLMRequest("critic", "m", (Message(role="user", content="?"),), Sampling(), seed=1)
    with asked_for(run="r", dialogue="d", turn="t"):
        assert traced(request)["metadata"] == {
            "openmic_run": "r",
            "openmic_dialogue": "d",
            "openmic_turn": "t",
            "openmic_request": request.key,
        }
    assert traced(request)["metadata"] == {"openmic_request": request.key}
