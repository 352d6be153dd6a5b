"""The engine itself: the calls of `endpoint`, to a server of its own that is started again when it dies."""

import asyncio
import logging
from typing import Any

import openai

from ....core.errors import (
    ConfigError,
    GenerationError,
    MemoryFullError,
    StudentLostError,
    UnansweredError,
)
from ....core.records import AdapterRef, GenerationRequest
from ....core.student_settings import StudentEndpointSettings, StudentSettings
from ..endpoint import EndpointEngine
from ..engine import CLOSED
from .server import MAKE_ROOM, VLLMServer

logger = logging.getLogger(__name__)
DEATHS_BORNE = 3
"""A request that the server has died under so often is not sent again: it may be the cause."""
DYING_S = 15.0
"""How long a server whose parts have died may take to end."""
_ANSWER_S = 3600.0
"""It has no need to hurry as long as others are answered: what waits for its turn waits in the server."""


class VLLMEngine(EndpointEngine):
    """A `StudentEngine` that feeds a server, watches it, and ends it when it is closed.

    Raises:
        ConfigError: the student is not causal, or the server does not start.
        StudentError: the student cannot be had.
    """

    timeout_key = "student.vllm.timeout_s"

    def __init__(self, settings: StudentSettings, server: VLLMServer, *, worker: str) -> None:
        """Starts the server if it is not running. Takes up to `start_timeout_s`."""
        reached = StudentEndpointSettings(
            base_url=server.base_url, model=server.base_model, timeout_s=_ANSWER_S, max_retries=2
        )
        super().__init__(
            settings,
            reached,
            settings.chat_template_kwargs,
            key=server.key,
            worker=worker,
            silence_s=settings.vllm.timeout_s,
        )
        self._server = server
        self._starting: asyncio.Task[None] | None = None
        if not server.running:
            server.start()

    async def close(self) -> None:
        """End, and the server with it."""
        await super().close()
        await asyncio.to_thread(self._server.close)
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)

    async def _complete(self, request: GenerationRequest, prompt: list[int], ref: AdapterRef | None) -> Any:
        for _ in range(DEATHS_BORNE):
            await self._running()
            restarts = self._stats.restarts
            try:
                return await super()._complete(request, prompt, ref)
            except StudentLostError as error:
                if not await self._died(error, restarts):
                    raise
        died = (
            f"request {request.id!r} was sent {DEATHS_BORNE} times and each time the student's vLLM server died: "
            f"{self._server.last_words()}; see {self._server.log}"
        )
        if self._server.lacked_memory():
            raise MemoryFullError(f"{died}; {MAKE_ROOM}; where there is room, `openmic resume` goes on")
        raise UnansweredError(died)

    async def _hand_over(self, ref: AdapterRef) -> AdapterRef:
        for _ in range(DEATHS_BORNE):
            await self._running()
            restarts = self._stats.restarts
            try:
                return await super()._hand_over(ref)
            except StudentLostError as error:
                if not await self._died(error, restarts):
                    raise
        raise StudentLostError(
            f"adapter version {ref.version} was given to the student's vLLM server {DEATHS_BORNE} times and each time "
            f"it died: {self._server.last_words()}; see {self._server.log}"
        )

    async def _died(self, error: Exception, restarts: int) -> bool:
        """Whether it was the server's death that made a call fail. Its parts die one after the other.

        `restarts` is how many there were when the call was made: another call may have seen the death first.
        """
        cause = error.__cause__
        lost = isinstance(cause, (openai.APIConnectionError, openai.InternalServerError))
        if not lost or self._closed:
            return False
        return self._stats.restarts > restarts or await asyncio.to_thread(self._server.ends_within, DYING_S)

    async def _running(self) -> None:
        """Wait for the server where it is being started again, which the first to miss it does."""
        if self._server.running:
            return
        if self._closed:
            raise GenerationError(CLOSED)
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start_again())
        await asyncio.shield(self._starting)

    async def _start_again(self) -> None:
        self._stats.restarts += 1
        said = await asyncio.to_thread(self._server.last_words)
        logger.warning(
            "its vLLM server ended (%s) and is started again, the %d. time; see %s",
            said,
            self._stats.restarts,
            self._server.log,
        )
        try:
            await asyncio.to_thread(self._server.start)
        except ConfigError as error:
            if not self._closed and MAKE_ROOM in str(error):
                raise MemoryFullError(f"{error}; where there is room, `openmic resume` goes on") from error
            raise (GenerationError(CLOSED) if self._closed else StudentLostError(str(error))) from error
        if self._closed:
            await asyncio.to_thread(self._server.close)
