"""The client of the student's server: each attempt has an end, and nothing goes to another server."""

import asyncio
from typing import Any

import httpx2
import openai

from ...core.endpoints.proxies import connecting
from ...core.endpoints.redirects import RedirectedElsewhereError, refuse_elsewhere
from ...core.errors import StudentLostError


def student_client(url: str, key: str, *, timeout_s: float, max_retries: int) -> openai.AsyncOpenAI:
    """A client for a server.

    Args:
        url: Its base address, ending in /v1.
        key: What it wants as a key; anything where it wants none.
        timeout_s: Seconds an attempt may take as a whole, to its last byte.
        max_retries: Further attempts after what may pass, but for one that took its whole time: that one raises
            APITimeoutError, and whoever asks knows whether more of them are worth it.

    Raises:
        ConfigError: a proxy cannot be used that the environment names.
    """
    http = _BoundedClient(url, timeout_s, **connecting(url))
    return openai.AsyncOpenAI(base_url=url, api_key=key, timeout=timeout_s, max_retries=max_retries, http_client=http)


class _BoundedClient(openai.DefaultAsyncHttpxClient):
    def __init__(self, url: str, timeout_s: float, **options: Any) -> None:
        super().__init__(event_hooks={"request": [self._refuse_elsewhere]}, **options)
        self._url, self._timeout_s = url, timeout_s

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Bounded as a whole, redirects included: httpx2's own limits begin anew with every byte."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await super().send(request, **options)
        except (TimeoutError, httpx2.TimeoutException) as late:
            raise openai.APITimeoutError(request) from late  # which openai passes on, where it retries httpx2's
        except RedirectedElsewhereError as error:  # which trying again does not mend
            raise StudentLostError(f"the student's server {self._url} is not asked: {error}") from error

    async def _refuse_elsewhere(self, request: httpx2.Request) -> None:
        refuse_elsewhere(request, self._url)
