"""Putting requests to an endpoint through the client."""

import asyncio
from collections.abc import Iterable
from typing import Any

from openmic.agents.endpoints.client import OpenAIClient
from openmic.core.config import EndpointSettings
from openmic.core.records import LLMReply, LLMRequest, Message, Sampling

from .scripted_endpoint import Answer, Script, completion

SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


def request(text: str = "Hello there.", **more: Any) -> LLMRequest:
    messages = (Message(role="system", content="Be brief."), Message(role="user", content=text))
    fields: dict[str, Any] = {
        "role": "critic",
        "model": "m",
        "messages": messages,
        "sampling": Sampling(temperature=0.5, top_p=0.9, max_tokens=12),
        "seed": 3,
    }
    return LLMRequest(**(fields | more))


def settings(url: str, **more: Any) -> EndpointSettings:
    return EndpointSettings.model_validate({"model": "m", "base_url": url, "timeout_s": 20, "patience_s": 1.5, **more})


def ask_all(requests: Iterable[LLMRequest], settings: EndpointSettings) -> list[LLMReply | BaseException]:
    async def run() -> list[LLMReply | BaseException]:
        client = OpenAIClient(settings)
        try:
            return await asyncio.gather(*map(client.complete, requests), return_exceptions=True)
        finally:
            await client.close()

    return asyncio.run(run())


def ask_in_turn(requests: Iterable[LLMRequest], settings: EndpointSettings) -> list[LLMReply]:
    """The replies to requests of one client, each made when the one before it was answered."""

    async def run() -> list[LLMReply]:
        client = OpenAIClient(settings)
        try:
            return [await client.complete(each) for each in requests]
        finally:
            await client.close()

    return asyncio.run(run())


def ask(request: LLMRequest, settings: EndpointSettings) -> LLMReply:
    reply = ask_all([request], settings)[0]
    if isinstance(reply, BaseException):
        raise reply
    return reply


def always(answer: Answer) -> Script:
    """A script: this answer to every request."""
    return lambda asked, number: answer


def first(count: int, answer: Answer) -> Script:
    """A script: this answer to the first requests, then a good one."""
    return lambda asked, number: answer if number < count else Answer(body=completion())
