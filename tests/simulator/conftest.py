"""A simulated server in a thread, spoken to over loopback, and prompts as openmic's clients would write them."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from openmic.core.endpoints.listening import bind
from openmic.simulator import SimulatorSettings
from openmic.simulator.app import build_app

from ..served import end_thread

INPUTS = Path(__file__).parents[2] / "examples" / "inputs"
Serve = Callable[..., httpx.Client]


def _inputs(name: str) -> list[str]:
    return [json.loads(line)["input"] for line in (INPUTS / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    return _inputs("humor.jsonl")[:300]


@pytest.fixture(scope="session")
def notices() -> list[str]:
    return _inputs("plain-language.jsonl")


@pytest.fixture(scope="session")
def serve() -> Iterator[Serve]:
    """Starts servers; those of equal settings and without a log are one and the same."""
    running: dict[str, tuple[uvicorn.Server, threading.Thread, httpx.Client]] = {}

    def start(log: Path | None = None, **settings: Any) -> httpx.Client:
        name = f"{log} {settings}"
        if name not in running:
            running[name] = _start(build_app(SimulatorSettings(**settings), log))
        return running[name][2]

    yield start
    for server, _, client in running.values():
        client.close()
        server.should_exit = True
    for _, thread, _ in running.values():
        end_thread(thread)


def _start(app: FastAPI) -> tuple[uvicorn.Server, threading.Thread, httpx.Client]:
    listener = bind("127.0.0.1", 0, "the test")
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return server, thread, httpx.Client(base_url=base_url, timeout=10)


def demonstrate_body(sentence: str, count: int = 1, **more: Any) -> dict[str, Any]:
    content = f"Write exactly {count} humorous paraphrases.\n<sentence>{sentence}</sentence>"
    return {"model": "sim-teacher", "messages": [{"role": "user", "content": content}], **more}


def compare_body(sentence: str, first: str, second: str, heard: str = "", **more: Any) -> dict[str, Any]:
    content = (
        f"Which is better?\n<sentence>{sentence}</sentence>\n<first>{first}</first>\n<second>{second}</second>\n"
        f"<heard>\n{heard}\n</heard>"
    )
    message = {"role": "user", "content": content}
    return {"model": "sim-critic", "messages": [message], "logprobs": True, "top_logprobs": 8, "max_tokens": 1, **more}


def reason_body(sentence: str, first: str, second: str, **more: Any) -> dict[str, Any]:
    body = compare_body(sentence, first, second, **({"max_tokens": 60} | more))
    body["messages"][0]["content"] += "\nGive a short reason, then end with a line `Answer: 1` or `Answer: 2`."
    return body


def critique_body(sentence: str, draft: str, **more: Any) -> dict[str, Any]:
    content = f"Criticise.\n<sentence>{sentence}</sentence>\n<draft>{draft}</draft>"
    body = {"model": "sim-critic", "messages": [{"role": "user", "content": content}]}
    return {**body, "response_format": {"type": "json_object"}, **more}


def ask(client: httpx.Client, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    reply = client.post("/v1/chat/completions", json=body)
    assert reply.status_code == status, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def score_body(source: str, text: str, tag: str = "sentence", **more: Any) -> dict[str, Any]:
    prompt = f"<{tag}>{source}</{tag}>\nSomebody put it like this:\n<text>{text}</text>"
    return {"model": "sim-critic", "prompt": prompt, "echo": True, "logprobs": 1, "max_tokens": 1, **more}


def score(client: httpx.Client, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    reply = client.post("/v1/completions", json=body)
    assert reply.status_code == status, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def said(answer: dict[str, Any], index: int = 0) -> str:
    text: str = answer["choices"][index]["message"]["content"]
    return text
