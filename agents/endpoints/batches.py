"""A provider's batches: a file of requests, answered within a day at half the price, by OpenAI's documented calls.

Nothing is paid for twice: whoever lost the answer to "begin a batch of this file" looks first if there is one.
"""

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Self, TypeVar

import openai

from ...core.config import EndpointSettings
from ...core.endpoints.secrets import beginning
from ...core.errors import EndpointLostError, InterruptedRunError
from .access import Access
from .body import ErrorInReplyError, parse_body, read_json, storable
from .failures import TROUBLE, Failure, Kind, one_line, read_failure, words_in
from .gate import Gate
from .waits import wait_before

T = TypeVar("T")
MOST_REQUESTS = 50_000
MOST_BYTES = 190_000_000
"""Of a file, a little below what is documented: 200 MB."""
ENDED = frozenset({"completed", "failed", "expired", "cancelled", "canceled"})
FIRST_LOOK_S, LONGEST_LOOK_S = 1.0, 120.0
"""Between two looks at a batch; each is half as long again as the one before."""
FILE_TIMEOUT_S = 900.0
"""For a file on its way."""
NOT_HERE = frozenset({404, 405, 410, 501})
"""How a server answers at an address where it has nothing, or of something that it has not."""
LOOKS = 3
"""So often something has to be gone before it is believed: a router that is being changed says so once, too."""
_PATH: Final = "/v1/chat/completions"
_GONE = frozenset({404, 410})
"""How a server answers about a file that it has not."""
_NOT_ASKED = frozenset({"batch_expired", "batch_cancelled"})


@dataclass(frozen=True, slots=True)
class Answered:
    """What a batch says of one request."""

    body: Mapping[str, Any] | None
    """The chat completion; None where there is none."""
    why: str = ""
    """Why there is none."""
    asked: bool = True
    """Whether the model was asked at all, before the batch came to its end."""


@dataclass(frozen=True, slots=True)
class BatchSeen:
    """A batch as its provider shows it. What else than its id cannot be read, or is not there, is None or empty."""

    id: str
    status: str
    """In small letters."""
    of_file: str
    """The id of the file of its requests."""
    output_file: str
    """The id of the file of its answers."""
    error_file: str
    """The id of the file of what was not answered."""
    done: int | None
    """How many of its requests are done."""
    wrong: str
    """What is said to be wrong with it."""

    @classmethod
    def of(cls, told: object) -> Self:
        """The batch that a provider tells of, whatever the types of what it says.

        Raises:
            ErrorInReplyError: it is none.
        """
        told = storable(told)
        if not isinstance(told, dict) or not (identity := _id(told.get("id"))):
            raise ErrorInReplyError(f"what it answers is no batch: {beginning(str(told), 120)}", told)
        status, counts = told.get("status"), told.get("request_counts")
        return cls(
            id=identity,
            status=one_line(status).lower() if isinstance(status, str) else "",
            of_file=_id(told.get("input_file_id")),
            output_file=_id(told.get("output_file_id")),
            error_file=_id(told.get("error_file_id")),
            done=_whole(counts.get("completed")) if isinstance(counts, dict) else None,
            wrong=_wrong(told.get("errors")),
        )


@dataclass(frozen=True, slots=True)
class BatchAnswers:
    """What a batch that ended says of its requests."""

    found: Mapping[str, Answered]
    """By the requests' ids."""
    lost: bool = False
    """Whether the provider has the file of its answers no more: they were paid for, and nobody will have them."""


class BatchRefusedError(EndpointLostError):
    """The provider will not begin the batch of this file, however often it is asked."""


class NotGivenError(EndpointLostError):
    """The provider has nothing at an address, though it does not say that what was there is gone."""


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
            _listed(answer.content)
        except ErrorInReplyError:
            return Failure(Kind.STOP, "what it answers is no list of batches", 404)
        return None

    async def upload(self, lines: Sequence[bytes]) -> str:
        """Upload requests; returns the file's id.

        Raises:
            EndpointLostError: it is not taken.
            InterruptedRunError: the run is ending.
        """
        content, files = b"\n".join(lines) + b"\n", self._client.with_options(timeout=FILE_TIMEOUT_S).files

        async def made() -> str:
            answer = await files.with_raw_response.create(file=("requests.jsonl", content), purpose="batch")
            told = parse_body(answer.content)
            if not (identity := _id(told.get("id"))):
                raise ErrorInReplyError(f"what it answers to a file is none: {beginning(str(told), 120)}", told)
            return identity

        file = await self._asked(made)
        assert file is not None
        return file

    async def begin(self, file: str, *, maybe_begun: bool) -> str | None:
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
            if look and (found := await self._of_file(file)) is not None:
                return found
            look = creating = True  # from here on nobody knows but the provider
            try:
                answer = await self._client.batches.with_raw_response.create(
                    input_file_id=file, endpoint=_PATH, completion_window="24h", metadata={"sent_by": "openmic"}
                )
                return BatchSeen.of(parse_body(answer.content)).id
            except TROUBLE as error:
                failure = read_failure(error)
                if failure.kind is Kind.ITEM and failure.status not in NOT_HERE:
                    raise BatchRefusedError(self._stuck(failure)) from error
                raise

        async def gone() -> bool:
            """Whether it is the file that is not there, and not the list of batches."""
            return maybe_begun and creating and await self._of_file(file) is None

        return await self._asked(begun, gone)

    async def ended(self, batch_id: str, file: str, tell: Callable[[BatchSeen], None]) -> BatchSeen | None:
        """The batch of a file once it has ended; None where the provider has it no more.

        Args:
            batch_id: The batch's id.
            file: The file's.
            tell: Gets the batch at each look at it before its end.

        Raises:
            EndpointLostError: the endpoint answers no more.
            InterruptedRunError: the run is ending; the batch goes on.
        """

        async def seen() -> BatchSeen:
            answer = await self._client.batches.with_raw_response.retrieve(batch_id)
            batch = BatchSeen.of(told := parse_body(answer.content))
            if not batch.status:
                raise ErrorInReplyError(f"what it answers is no batch: {beginning(str(told), 120)}", told)
            redacted = self._access.redacted
            return replace(batch, status=redacted(batch.status), wrong=redacted(batch.wrong))

        async def gone() -> bool:
            return await self._of_file(file) is None

        pause = FIRST_LOOK_S
        while True:
            batch = await self._asked(seen, gone)
            if batch is None or batch.status in ENDED:
                return batch
            tell(batch)
            await self._gate.sleep(pause)
            self._go_on()
            pause = min(LONGEST_LOOK_S, 1.5 * pause)

    async def answers(self, batch: BatchSeen, *, missed: bool = False) -> BatchAnswers:
        """What a batch that ended says of its requests, in whatever order its files are.

        Args:
            batch: The batch.
            missed: Whether another process has asked for its files in vain. Then one that is not given out is gone.

        Raises:
            NotGivenError: a file is not given out, though it should be there; the batch is paid for.
            EndpointLostError: the endpoint answers no more.
            InterruptedRunError: the run is ending.
        """
        found: dict[str, Answered] = {}
        lost, files = False, self._client.with_options(timeout=FILE_TIMEOUT_S).files
        for file in filter(None, (batch.error_file, batch.output_file)):
            try:
                # The file of a batch that has just ended may come later than its end.
                content = await self._asked(partial(files.content, file), partial(self._lacks, file), at_last=True)
            except NotGivenError:
                if not missed:
                    raise
                content = None
            if content is None:
                lost = lost or file == batch.output_file
                continue
            for line in content.content.splitlines():
                if (read := read_line(line)) is not None:
                    key, answered = read
                    found[key] = replace(answered, why=self._access.redacted(answered.why))
        return BatchAnswers(found, lost)

    async def _lacks(self, file: str) -> bool:
        """Whether a provider that has files says that it has this one no more: it was deleted, or has expired."""
        raw = self._client.files.with_raw_response
        _listed((await raw.list(limit=1)).content)
        try:
            about = parse_body((await raw.retrieve(file)).content)
        except openai.APIStatusError as error:
            return error.status_code in _GONE
        expires = _number(about.get("expires_at"))
        return about.get("status") in ("deleted", "expired") or (expires is not None and expires < time.time())

    async def _of_file(self, file: str) -> str | None:
        """The batch of a file by the provider's list of batches.

        All of it is looked at, whatever its times say: clocks of two machines differ.

        Raises:
            ErrorInReplyError: none that can be read is it, and one that cannot may be.
        """
        raw, passed, last = self._client.batches.with_raw_response, set[str](), ""
        odd: ErrorInReplyError | None = None
        while True:
            page = await raw.list(limit=100, after=last or openai.omit)
            listed, more = _listed(page.content)
            for one in listed:
                try:
                    batch = BatchSeen.of(one)
                except ErrorInReplyError as error:
                    odd = odd or error
                    continue
                if batch.of_file == file:
                    return batch.id
                if not batch.of_file:
                    unsaid = f"its list of batches does not say of which file {batch.id} is"
                    odd = odd or ErrorInReplyError(unsaid, one)
                last = batch.id
            if not more or not listed or last in passed:
                if odd is not None:
                    raise odd
                return None
            passed.add(last)

    async def _asked(
        self,
        call: Callable[[], Awaitable[T]],
        gone: Callable[[], Awaitable[bool]] | None = None,
        *,
        at_last: bool = False,
    ) -> T | None:
        """The call's answer; None where what it is about is gone.

        Args:
            call: What is asked.
            gone: Whether that is so, where the call is answered as if it were: what is taken to be gone is paid again.
            at_last: Whether that is asked only once patience is over.

        Raises:
            NotGivenError: it is answered as if it were gone for as long as patience lasts, `LOOKS` times at least, and
                is not known to be.
            EndpointLostError: the endpoint answers no more, or refuses.
            InterruptedRunError: the run is ending.
        """
        began, attempt, looks = time.monotonic(), 0, 0
        while True:
            self._go_on()
            try:
                return await call()
            except TROUBLE as error:
                failure = read_failure(error)
                over = time.monotonic() - began >= self._settings.patience_s
                missing = gone is not None and failure.status in NOT_HERE
                looks += missing
                often = looks >= LOOKS
                if gone is not None and missing and often and (over or not at_last):
                    with suppress(*TROUBLE):
                        if await gone():
                            return None
                if (often or not missing) if over else (failure.kind in {Kind.ITEM, Kind.STOP} and not missing):
                    lost = NotGivenError if missing else EndpointLostError
                    raise lost(self._stuck(failure)) from error
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


def read_line(line: bytes) -> tuple[str, Answered] | None:
    """What one line of a batch's file says, and of which request; None where it is no answer to any."""
    told = storable(read_json(line.decode("utf-8-sig", errors="replace")))
    if not isinstance(told, dict) or not isinstance(key := told.get("custom_id"), str):
        return None
    response, error = _fields(told.get("response")), _fields(told.get("error"))
    status, body = response.get("status_code"), response.get("body")
    if str(status) == "200" and isinstance(body, dict):
        return key, Answered(body)
    if isinstance(body, dict) and body.get("error"):
        error = _fields(body["error"])
    code = str(error.get("code") or "")
    why = str(error.get("message") or code or response.get("message") or f"HTTP {status}")
    return key, Answered(None, one_line(why), asked=code not in _NOT_ASKED)


def _fields(part: object) -> Mapping[str, Any]:
    """A part of a line; what is no object, though it should be one, is taken for words."""
    if isinstance(part, dict):
        return part
    return {"message": str(part)} if part else {}


def _listed(content: bytes) -> tuple[list[Any], bool]:
    """What a provider lists on a page, and whether there may be another. Raises ErrorInReplyError where it is none."""
    page = parse_body(content)
    if not isinstance(listed := page.get("data"), list):
        raise ErrorInReplyError(f"what it answers is no list: {beginning(str(page), 120)}", page)
    return listed, page.get("has_more") is not False


def _id(value: object) -> str:
    """An id; empty where it is none."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _number(value: object) -> float | None:
    """A number; None where it is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    """A count; None where it is none."""
    number = _number(value)
    return int(number) if number is not None and number >= 0 else None


def _wrong(errors: object) -> str:
    """What a batch's errors say, each once; empty where there are none."""
    listed = errors.get("data") or errors if isinstance(errors, dict) else errors
    said = [words_in(one) or str(one) for one in listed if one] if isinstance(listed, list) else []
    words = "; ".join(dict.fromkeys(said)) or words_in(listed)
    if not words and listed and not (isinstance(listed, dict) and listed.keys() <= {"object", "data"}):
        words = str(listed)
    return one_line(words)
