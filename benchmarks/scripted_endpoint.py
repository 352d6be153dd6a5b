"""An endpoint that costs next to nothing: it speaks as much of HTTP and of OpenAI's protocol as dialogues need.

A process of its own: `python benchmarks/scripted_endpoint.py` prints its address and serves until its input ends. What
it says follows from what it is asked, so that verdicts differ; a text has no quality that it would see.
"""

import asyncio
import json
import math
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """A chat completion: a label with its probabilities, a critique where a schema asks for one, else a joke."""
    words = str(asked["messages"][-1]["content"])
    chance = zlib.crc32(words.encode()) / 2**32
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "logprobs": None}
    if asked.get("logprobs"):
        p, text = 0.02 + 0.96 * chance, "1" if chance > 0.48 else "2"
        odds = {"1": math.log(p), "2": math.log(1 - p)}
        tops = [{"token": token, "logprob": odd} for token, odd in odds.items()]
        choice["logprobs"] = {"content": [{"token": text, "logprob": odds[text], "top_logprobs": tops}]}
    elif "response_format" in asked:
        told = {
            "works": "It is short.",
            "missing": "A turn.",
            "suggestion": f"Let kettle {chance:.6f} speak.",
        }
        text = json.dumps(told)
    else:
        text = f"Number {int(1e6 * chance)} of all kettles boils over, and asks the umbrella to apologise."
    choice["message"] = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": len(words) // 4, "completion_tokens": 1 + len(text) // 4, "total_tokens": 0}
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return {"id": f"scripted-{chance:.9f}", "model": asked["model"], "choices": [choice], "usage": usage}


async def _serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].split("\r\n", 1)[0] or 0)
            body = await reader.readexactly(length)
            if head.startswith("post"):
                said = json.dumps(answer(json.loads(body)))
            else:  # the list of models
                said = json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]})
            kind = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            writer.write(f"{kind}Content-Length: {len(said)}\r\n\r\n{said}".encode())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_serve_one, "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def scripted_endpoint() -> Iterator[str]:
    """The endpoint in a process of its own, for the time of the block; gives its address."""
    command = [sys.executable, str(Path(__file__))]
    with subprocess.Popen(  # noqa: S603 - this very script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve())
