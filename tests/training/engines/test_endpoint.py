import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import (
    ITEM_ERRORS,
    ConfigError,
    GenerationError,
    StudentLostError,
    UnansweredError,
)
from openmic.core.records import AdapterRef
from openmic.core.student_settings import StudentEndpointSettings
from openmic.testing import EngineConformance
from openmic.training.engines import endpoint
from openmic.training.engines.conformance import BuildEngine, ask, scenario
from openmic.training.engines.endpoint import EndpointEngine, adapter_name
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.tiny_student import TinyStudent
from openmic.training.student.tokenization import render_prompt

from ...whole_run import PATIENCE_S
from ..conftest import BuildStudent
from ..factories import TEXTS, request
from .student_server import StudentServer


@pytest.fixture
def server(student: BuildStudent) -> Iterator[StudentServer]:
    with StudentServer(student("llama")) as running:
        yield running


def engine_of(running: StudentServer, folder: Path, **changes: Any) -> EndpointEngine:
    values = {"base_url": running.base_url, "model": "tiny", "max_retries": 2} | changes
    return EndpointEngine(str(folder), StudentEndpointSettings.model_validate(values))


class TestVLLM(EngineConformance):
    samples_as_openmic = True

    @pytest.fixture
    def build(self, server: StudentServer, tiny: TinyStudent) -> BuildEngine:
        return lambda: engine_of(server, tiny.folder)


class TestSGLang(EngineConformance):
    samples_as_openmic = True
    tells_tokens = False

    @pytest.fixture
    def build(self, server: StudentServer, tiny: TinyStudent) -> BuildEngine:
        return lambda: engine_of(server, tiny.folder, server="sglang")


def test_prompts_are_sent_as_the_student_was_trained_to_read_them(
    server: StudentServer, tiny_causal: Path, student: BuildStudent
) -> None:
    asked = request(TEXTS[1], seed=5, temperature=0.5, top_p=0.9, max_tokens=3)

    @scenario(lambda: engine_of(server, tiny_causal))
    async def test(engine: StudentEngine) -> None:
        await engine.generate(asked)

    [body] = server.called("/v1/completions")
    assert body["prompt"] == render_prompt(student("llama"), asked.messages)
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["seed"]) == (0.5, 0.9, 3, 5)
    assert body["model"] == "tiny"


def test_versions_have_names_of_their_own_and_leave_after_they_drained(
    server: StudentServer, tiny_causal: Path, adapters: list[AdapterRef]
) -> None:
    names = [adapter_name(ref) for ref in adapters]
    assert len(set(names)) == 4
    assert names[0] == f"student-v1-{str(adapters[0].sha256)[:8]}"

    @scenario(lambda: engine_of(server, tiny_causal), *adapters[:3])
    async def test(engine: StudentEngine) -> None:
        await ask(engine, [request(adapter=2), request(adapter=3)])
        server.delay_s = 0.6
        slow = asyncio.create_task(engine.generate(request(adapter=2)))
        await asyncio.sleep(0.1)
        await engine.load(adapters[3])
        assert 1 not in engine.loaded
        await engine.unload(2)
        assert slow.done()
        assert (await slow).adapter_version == 2

    assert [body["lora_name"] for body in server.called("/v1/load_lora_adapter")] == names
    assert server.called("/v1/load_lora_adapter")[0]["lora_path"] == adapters[0].uri
    assert [body["lora_name"] for body in server.called("/v1/unload_lora_adapter")] == names[:2]
    assert set(server.adapters) == {names[2], names[3]}


def test_two_workers_share_a_server(server: StudentServer, tiny_causal: Path, adapters: list[AdapterRef]) -> None:
    @scenario(lambda: engine_of(server, tiny_causal), adapters[0])
    async def test(one: StudentEngine) -> None:
        other = engine_of(server, tiny_causal)
        await other.load(adapters[0])
        found = [await engine.generate(request(seed=4, adapter=1)) for engine in (one, other)]
        assert found[0].token_ids == found[1].token_ids
        assert found[1].adapter_version == 1
        await other.close()


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_server_that_was_started_anew_gets_its_adapters_again(
    server: StudentServer, tiny_causal: Path, adapters: list[AdapterRef], kind: str
) -> None:
    @scenario(lambda: engine_of(server, tiny_causal, server=kind), adapters[0])
    async def test(engine: StudentEngine) -> None:
        before = await engine.generate(request(seed=4, adapter=1))
        server.forget_adapters()
        assert (await engine.generate(request(seed=4, adapter=1))).text == before.text

    assert len(server.adapters) == 1


def test_a_busy_server_is_asked_again_and_then_no_more(server: StudentServer, tiny_causal: Path) -> None:
    @scenario(lambda: engine_of(server, tiny_causal))
    async def test(engine: StudentEngine) -> None:
        server.failures = 2
        assert (await engine.generate(request())).token_ids
        server.failures = 3
        with pytest.raises(UnansweredError, match=r"did not answer request 'r': .*503.*busy"):
            await engine.generate(request())
        assert server.failures == 0
        with pytest.raises(GenerationError, match=r"set sampling\.num_beams to 1, or student.engine to static"):
            await engine.generate(request(num_beams=2))


def test_a_server_that_is_not_there_is_named(
    server: StudentServer, tiny_causal: Path, adapters: list[AdapterRef], tiny_seq2seq: Path
) -> None:
    nowhere = "http://127.0.0.1:9/v1"

    @scenario(lambda: engine_of(server, tiny_causal, base_url=nowhere, max_retries=0))
    async def test(engine: StudentEngine) -> None:
        for asked in (engine.generate(request()), engine.load(adapters[0])):
            with pytest.raises(StudentLostError, match=f"{nowhere} does not answer: connection refused; is it running"):
                await asked

    with pytest.raises(ConfigError, match="serves causal students"):
        engine_of(server, tiny_seq2seq)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 405, 408, 429, 500, 502, 503])
def test_what_the_server_does_to_everybody_is_no_fault_of_an_item(
    server: StudentServer, tiny_causal: Path, adapters: list[AdapterRef], status: int, version: int
) -> None:
    @scenario(lambda: engine_of(server, tiny_causal, max_retries=0), adapters[0])
    async def test(engine: StudentEngine) -> None:
        server.refusal = (status, "not\nlike this")
        with pytest.raises(
            StudentLostError, match=rf"student's server {server.base_url} .*: Error code: {status}"
        ) as it:
            await engine.generate(request(adapter=version))
        assert not isinstance(it.value, ITEM_ERRORS)
        assert isinstance(it.value, UnansweredError) is (status >= 500)
        assert "\n" not in str(it.value)
        server.refusal = None
        assert (await engine.generate(request(adapter=version))).token_ids


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_the_server_refuses_of_a_prompt_is_the_items_fault(
    server: StudentServer, tiny_causal: Path, status: int
) -> None:
    @scenario(lambda: engine_of(server, tiny_causal))
    async def test(engine: StudentEngine) -> None:
        server.refusal = (status, "the prompt is longer than 16 tokens")
        with pytest.raises(GenerationError, match=r"could not answer request 'r': .*longer than 16 tokens"):
            await engine.generate(request())


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"]
    + [
        b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, len(body), body)
        for kind, body in (
            (b"text/html", b"<h1>Welcome</h1>"),
            (b"application/json", b"{"),
            (b"application/json", b'{"choices": []}'),
            (b"application/json", b'{"choices": [{"text": null, "finish_reason": "stop"}]}'),
        )
    ],
)
def test_what_is_no_completion_is_told_as_such(tiny_causal: Path, said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)

    async def test() -> None:
        async with listening(answer) as url:
            with pytest.raises(UnansweredError, match=rf"server {url}/v1 did not answer request 'r': ."):
                await asked_once(url, tiny_causal)

    asyncio.run(test())


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[str]:
    """The address of a server that answers each connection so."""
    under_way = set[asyncio.Task[Any]]()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        with suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()

    async with await asyncio.start_server(one, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        if under_way:
            await asyncio.wait(under_way)


async def asked_once(url: str, folder: Path, **changes: Any) -> None:
    values: dict[str, Any] = {"base_url": f"{url}/v1", "model": "tiny", "max_retries": 0}
    engine = EndpointEngine(str(folder), StudentEndpointSettings.model_validate(values | changes))
    try:
        await engine.generate(request())
    finally:
        await engine.close()


NOT_IN_TIME = r"did not answer request 'r': no answer in time \(student\.endpoint\.timeout_s\)"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"])
def test_an_answer_that_never_ends_is_waited_for_once_as_long_as_an_attempt_may_take(
    tiny_causal: Path, head: bytes
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        while True:  # until whoever asked hangs up
            writer.write(b" " if head else b"H")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def test() -> None:
        async with asyncio.timeout(PATIENCE_S), listening(drip) as url:
            with pytest.raises(UnansweredError, match=NOT_IN_TIME):
                await asked_once(url, tiny_causal, timeout_s=0.3)

    asyncio.run(test())


@pytest.mark.parametrize("hurried", [False, True])
def test_a_server_that_takes_connections_and_answers_nobody_is_asked_twice(
    tiny_causal: Path, adapters: list[AdapterRef], hurried: bool
) -> None:
    attempts = 0

    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        await reader.read()  # until whoever asked hangs up

    async def test() -> None:
        async with asyncio.timeout(PATIENCE_S), listening(silence) as url:
            values = {"base_url": f"{url}/v1", "model": "tiny", "timeout_s": 0.2}
            engine = EndpointEngine(str(tiny_causal), StudentEndpointSettings.model_validate(values))
            with pytest.raises(UnansweredError, match=NOT_IN_TIME):
                await engine.generate(replace(request(), hurried=hurried))
            assert attempts == 2
            with pytest.raises(UnansweredError, match=r"did not answer the loading of adapter version 1: no answer in"):
                await engine.load(adapters[0])
            assert attempts == 4
            await engine.close()

    asyncio.run(test())


def test_where_silence_alone_bounds_an_attempt_it_goes_on_as_long_as_others_are_answered(
    tiny_causal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0
    completion = b'{"choices": [{"text": "a", "token_ids": [5], "finish_reason": "length"}]}'
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        asked = await reader.readuntil(b'"max_tokens":') + await reader.readexactly(1)
        if asked.endswith(b"9"):
            attempts += 1
            await others_are_over.wait()
        writer.write(head % len(completion) + completion)
        await writer.drain()

    others_are_over = asyncio.Event()

    async def test() -> None:
        async with asyncio.timeout(PATIENCE_S), listening(busy) as url:
            reached = StudentEndpointSettings.model_validate({"base_url": f"{url}/v1", "model": "tiny"})
            engine = EndpointEngine(str(tiny_causal), reached, silence_s=1.0)
            monkeypatch.setattr(endpoint, "SLOWEST", 1000.0)
            slow, began = asyncio.create_task(engine.generate(request(max_tokens=9))), time.monotonic()
            while time.monotonic() < began + 3:
                await engine.generate(request(id="other", max_tokens=1))
            others_are_over.set()
            assert (await slow).token_ids == (5,)
            assert attempts == 1
            await engine.close()

    asyncio.run(test())


def test_a_slow_server_has_as_long_to_answer_somebody_as_the_longest_answer_takes(
    tiny_causal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked for little waits, too: all places may be taken by what is asked for much."""
    attempts = 0
    completion = b'{"choices": [{"text": "a", "token_ids": [5], "finish_reason": "length"}]}'
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        await reader.readuntil(b'"max_tokens":')
        attempts += 1
        await asyncio.sleep(1.0)
        writer.write(head % len(completion) + completion)
        await writer.drain()

    async def test() -> None:
        async with asyncio.timeout(PATIENCE_S), listening(slow) as url:
            reached = StudentEndpointSettings.model_validate({"base_url": f"{url}/v1", "model": "tiny"})
            engine = EndpointEngine(str(tiny_causal), reached, silence_s=0.1)
            monkeypatch.setattr(endpoint, "SLOWEST", 10.0)
            await asyncio.gather(*(engine.generate(request(id=f"{most}", max_tokens=most)) for most in (1, 600)))
            assert attempts == 2
            with pytest.raises(UnansweredError):
                await engine.generate(request(max_tokens=1))
            await engine.close()

    asyncio.run(test())


def test_a_server_that_answers_others_meanwhile_is_asked_again_unless_it_is_to_be_found_out_whose_fault_it_is(
    tiny_causal: Path,
) -> None:
    attempts = 0
    completion = b'{"choices": [{"text": "a", "token_ids": [5], "finish_reason": "length"}]}'
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

    async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        asked = await reader.readuntil(b'"max_tokens":') + await reader.readexactly(1)
        if slow := asked.endswith(b"9"):
            attempts += 1
        if slow and attempts not in {5, 8}:
            await reader.read()  # until whoever asked hangs up
        else:
            writer.write(head % len(completion) + completion)
            await writer.drain()

    async def test() -> None:
        async with asyncio.timeout(PATIENCE_S), listening(busy) as url:
            values = {"base_url": f"{url}/v1", "model": "tiny", "timeout_s": 0.3}
            engine = EndpointEngine(str(tiny_causal), StudentEndpointSettings.model_validate(values))
            slow = request(max_tokens=9)

            async def others() -> None:
                while True:
                    await engine.generate(request(id="other", max_tokens=1))

            beside = asyncio.create_task(others())
            assert (await engine.generate(slow)).token_ids == (5,)
            assert attempts == 5
            with pytest.raises(UnansweredError):
                await engine.generate(replace(slow, hurried=True))
            assert attempts == 7
            beside.cancel()
            await asyncio.gather(beside, return_exceptions=True)
            await engine.close()

    asyncio.run(test())


def test_what_is_meant_for_the_students_server_is_sent_to_no_other(
    server: StudentServer, tiny_causal: Path, adapters: list[AdapterRef]
) -> None:
    reached = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer)

    async def test() -> None:
        async with listening(answer) as other:
            server.moved_to = other
            engine = engine_of(server, tiny_causal, max_retries=20)
            try:
                for asked in (engine.generate(request()), engine.load(adapters[0])):
                    with pytest.raises(StudentLostError, match=rf"is not asked: it sends .* on to {other}, which"):
                        await asked
            finally:
                await engine.close()

    asyncio.run(test())
    assert reached == []
    assert len(server.calls) == 2, "what trying again does not mend is not tried again"


def test_a_redirect_on_the_same_server_is_followed(server: StudentServer, tiny_causal: Path) -> None:
    server.moved_to = server.base_url.removesuffix("/v1") + "/moved"

    @scenario(lambda: engine_of(server, tiny_causal))
    async def test(engine: StudentEngine) -> None:
        assert (await engine.generate(request())).token_ids
