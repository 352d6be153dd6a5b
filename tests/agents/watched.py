"""Agents put before an endpoint, with what they asked."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from openmic.agents.endpoints.client import OpenAIClient
from openmic.core.config import EndpointSettings
from openmic.core.records import LLMReply, LLMRequest

from .scripted_endpoint import Answer, ScriptedEndpoint, completion

T = TypeVar("T")
TEXT = "The bus left without me."
GOOD = "The bus left without me, like a celebrity avoiding an autograph."


class Watched:
    """A client that remembers what it was asked, with the endpoint behind it."""

    def __init__(self, client: OpenAIClient) -> None:
        self.client, self.requests = client, list[LLMRequest]()

    async def complete(self, request: LLMRequest) -> LLMReply:
        self.requests.append(request)
        return await self.client.complete(request)


def with_client(url: str, model: str, work: Callable[[Watched], Awaitable[T]]) -> tuple[T, list[LLMRequest]]:
    async def run() -> tuple[T, list[LLMRequest]]:
        client = OpenAIClient(EndpointSettings(model=model, base_url=url, max_retries=0, patience_s=0, timeout_s=20))
        watched = Watched(client)
        try:
            return await work(watched), watched.requests
        finally:
            await client.close()

    return asyncio.run(run())


def says(endpoint: ScriptedEndpoint, text: str, **choice: Any) -> str:
    endpoint.chat = lambda asked, number: Answer(body=completion(text, **choice))
    return endpoint.base_url


def lines_told(settings: EndpointSettings, act: Callable[[OpenAIClient], Awaitable[None]], **more: Any) -> list[str]:
    """The lines that are told while something is done with a client."""
    lines: list[str] = []

    async def run() -> None:
        client = OpenAIClient(settings, tell=lines.append, **more)
        try:
            await act(client)
        finally:
            await client.close()

    asyncio.run(run())
    return lines
