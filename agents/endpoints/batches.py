"""A provider's batches: a file of requests, answered within a day at half the price, by OpenAI's documented calls.

Nothing is paid for twice: whoever lost the answer to "begin a batch of this file" looks first if there is one.
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

import openai
from openai.types import Batch

from ...core.config import EndpointSettings
from ...core.errors import EndpointLostError, InterruptedRunError
from .access import Access
from .failures import TROUBLE, Failure, Kind, read_failure
from .gate import Gate
from .waits import wait_before

T = TypeVar("T")
MOST_REQUESTS = 50_000
MOST_BYTES = 190_000_000
"""Of a file, a little below what is documented: 200 MB."""
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
FIRST_LOOK_S, LONGEST_LOOK_S = 1.0, 120.0
"""Between two looks at a batch; each is half as long again as the one before."""
FILE_TIMEOUT_S = 900.0
"""For a file on its way."""
NOT_HERE = frozenset({404, 405, 410, 501})
"""How a server answers at an address where it has nothing, or of something that it has not."""
LOOKS = 3
"""So often something has to be gone before it is believed: a router that is being changed says so once, too."""
_PATH: Final = "/v1/chat/completions"
_NOT_ASKED = frozenset({"batch_expired", "batch_cancelled"})
_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a batch says of one request."""

    body: Mapping[str, Any] | None
    """The chat completion; None where there is none."""
    why: str = ""
    """Why there is none."""
    asked: bool = True
    """Whether the model was asked at all, before the batch came to its end."""


class BatchRefusedError(EndpointLostError):
    """The provider will not begin the batch of this file, however often it is asked."""


class ProviderBatches:
    """The calls about batches to one endpoint. They are made again for as long as its patience lasts."""

    def __init__(self, client: openai.AsyncOpenAI, gate: Gate, settings: EndpointSettings, access: Access) -> None:
        self._client, self._gate, self._settings, self._access = client, gate, settings, access

    async def refused(self) -> Failure | None:
        """Why the endpoint takes no batches, by one look at its list of them; None where it has one."""
        try:
            answer = await self._client.batches.with_raw_response.list(limit=1)
        except TROUBLE as error:
            failure = read_failure(error)
            return Failure(failure.kind, self._access.redacted(failure.reason), failure.status)
        try:
            listed = json.loads(answer.content)
        except ValueError:
            listed = None
        if isinstance(listed, dict) and isinstance(listed.get("data"), list):
            return None
        return Failure(Kind.STOP, "what it answers is no list of batches", 404)

    async def upload(self, lines: Sequence[bytes]) -> str:
        """Upload requests; returns the file's id.

        Raises:
            EndpointLostError: it is not taken.
            InterruptedRunError: the run is ending.
        """
        content, client = b"\n".join(lines) + b"\n", self._client.with_options(timeout=FILE_TIMEOUT_S)
        made = await self._asked(lambda: client.files.create(file=("requests.jsonl", content), purpose="batch"))
        assert made is not None
        return made.id

    async def begin(self, file: str, uploaded: datetime, *, maybe_begun: bool) -> str | None:
        """Begin the batch of an uploaded file, unless it was; returns its id, or None where the file is gone.

        Raises:
            BatchRefusedError: it is refused, and will be.
            EndpointLostError: it is not taken.
            InterruptedRunError: the run is ending.
        """
        look, creating = maybe_begun, False

        async def begun() -> str:
            nonlocal look, creating
            creating = False
            if look and (found := await self._of_file(file, uploaded)) is not None:
                return found
            look = creating = True  # from here on nobody knows but the provider
            try:
                batch = await self._client.batches.create(
                    input_file_id=file, endpoint=_PATH, completion_window="24h", metadata={"sent_by": "openmic"}
                )
            except TROUBLE as error:
                failure = read_failure(error)
                if failure.kind is Kind.ITEM and failure.status not in NOT_HERE:
                    raise BatchRefusedError(self._stuck(failure)) from error
                raise
            return batch.id

        async def gone() -> bool:
            """Whether it is the file that is not there, and not the list of batches."""
            return maybe_begun and creating and await self._of_file(file, uploaded) is None

        return await self._asked(begun, gone)

    async def ended(self, batch_id: str, file: str, uploaded: datetime, tell: Callable[[Batch], None]) -> Batch | None:
        """The batch of a file once it has ended; None where the provider has it no more.

        Args:
            batch_id: The batch's id.
            file: The file's.
            uploaded: When that was uploaded.
            tell: Gets the batch at each look at it before its end.

        Raises:
            EndpointLostError: the endpoint answers no more.
            InterruptedRunError: the run is ending; the batch goes on.
        """

        async def gone() -> bool:
            return await self._of_file(file, uploaded) is None

        pause = FIRST_LOOK_S
        while True:
            batch = await self._asked(lambda: self._client.batches.retrieve(batch_id), gone)
            if batch is None or batch.status in ENDED:
                return batch
            tell(batch)
            await self._gate.sleep(pause)
            self._go_on()
            pause = min(LONGEST_LOOK_S, 1.5 * pause)

    async def answers(self, batch: Batch) -> dict[str, Answered]:
        """What a batch that ended says of its requests, by their ids, in whatever order its files are.

        Raises:
            EndpointLostError: the endpoint answers no more, or does not give a file out; the batch is paid for.
            InterruptedRunError: the run is ending.
        """
        found: dict[str, Answered] = {}
        client = self._client.with_options(timeout=FILE_TIMEOUT_S)
        for file in filter(None, (batch.error_file_id, batch.output_file_id)):
            content = await self._asked(partial(client.files.content, file))
            assert content is not None
            for line in content.content.splitlines():
                if (read := _read(line)) is not None:
                    key, answered = read
                    found[key] = replace(answered, why=self._access.redacted(answered.why))
        return found

    def words(self, batch: Batch) -> str:
        """What the provider says is wrong with a batch."""
        listed = (batch.errors.data if batch.errors is not None else None) or []
        said = "; ".join(dict.fromkeys(one.message for one in listed if one.message))
        return self._access.redacted(said) or "it does not say why"

    async def _of_file(self, file: str, uploaded: datetime) -> str | None:
        """The batch of a file by the provider's list of batches."""
        async for batch in self._client.batches.list(limit=100):
            if batch.input_file_id == file:
                return batch.id
            if batch.created_at < (uploaded - _CLOCKS_DIFFER).timestamp():  # the newest come first
                break
        return None

    async def _asked(
        self, call: Callable[[], Awaitable[T]], gone: Callable[[], Awaitable[bool]] | None = None
    ) -> T | None:
        """The call's answer; None where what it is about is gone.

        Args:
            call: What is asked.
            gone: Whether that is so, where the call is answered as if it were: what is taken to be gone is paid again.
        """
        began, attempt = time.monotonic(), 0
        while True:
            self._go_on()
            try:
                return await call()
            except TROUBLE as error:
                failure = read_failure(error)
                over = time.monotonic() - began >= self._settings.patience_s
                missing = gone is not None and failure.status in NOT_HERE
                if gone is not None and missing and (over or attempt >= LOOKS - 1):
                    with suppress(*TROUBLE):
                        if await gone():
                            return None
                if over or (failure.kind in {Kind.ITEM, Kind.STOP} and not missing):
                    raise EndpointLostError(self._stuck(failure)) from error
                await self._gate.sleep(wait_before(attempt, failure.wait_s))
                attempt += 1

    def _stuck(self, failure: Failure) -> str:
        return f"the batches of {self._access.url} cannot go on: {self._access.redacted(failure.reason)}"

    def _go_on(self) -> None:
        if self._gate.lost:
            raise EndpointLostError(self._gate.lost)
        if self._gate.stopped:
            raise InterruptedRunError("the run is ending")


def batch_line(key: str, body: Mapping[str, Any]) -> bytes:
    """A request as a line of a batch's file."""
    line = {"custom_id": key, "method": "POST", "url": _PATH, "body": body}
    return json.dumps(line, ensure_ascii=False).encode()


def _read(line: bytes) -> tuple[str, Answered] | None:
    """What one line says, and of which request; None where it is no answer to any."""
    try:
        told = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict) or not isinstance(key := told.get("custom_id"), str):
        return None
    response, error = _fields(told.get("response")), _fields(told.get("error"))
    status, body = response.get("status_code"), response.get("body")
    if status == 200 and isinstance(body, dict):
        return key, Answered(body)
    if isinstance(body, dict) and body.get("error"):
        error = _fields(body["error"])
    code = str(error.get("code") or "")
    why = str(error.get("message") or code or response.get("message") or f"HTTP {status}")
    return key, Answered(None, " ".join(why.split()), asked=code not in _NOT_ASKED)


def _fields(part: object) -> Mapping[str, Any]:
    """A part of a line; what is no object, though it should be one, is taken for words."""
    if isinstance(part, dict):
        return part
    return {"message": str(part)} if part else {}
