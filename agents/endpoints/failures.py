"""What a failed attempt means: to ask again, to fail one item, to wait for all, or to stop. Nothing else decides it.

The table is in docs/how-to/endpoints.md, "What is waited for". Rules are tried in order, since servers disagree about
statuses: a used-up account comes as 402, as 429 and as 400, and what tells it apart is its code, then its words.
"""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import aiohttp
import httpx2
import openai
from aiohttp.http_exceptions import HttpProcessingError

from ...core.endpoints.redirects import RedirectedElsewhereError
from ...core.endpoints.secrets import beginning, hidden
from .body import SAYS_WRONG, ErrorInReplyError, parse_body, storable
from .waits import LONGEST_TEXT, asked_wait

TROUBLE = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)
"""All that an attempt may raise: what the network does, what an endpoint refuses, and a body that is no reply."""
_LONGEST_REASON = 300


class Kind(StrEnum):
    """What becomes of a failed attempt."""

    PASSES = "passes"
    """It may be another matter a moment later: it is tried again."""
    ITEM = "item"
    """This request will never be answered, others may: the item that asked fails."""
    SHUT = "shut"
    """Nobody is answered until a person mends something outside: all wait, and one tries again as patience lasts."""
    STOP = "stop"
    """Nothing that can happen outside mends it: the run ends, and can be resumed."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt, read."""

    kind: Kind
    reason: str
    """In one line, fit for people and for the store."""
    status: int | None = None
    wait_s: float | None = None
    """How long the endpoint asks to be left alone; None where it does not say."""
    unreached: bool = False
    """Whether the request never got there: then it is no fault of what was asked."""
    account: bool = False
    """Whether the key or the account is turned away, which is no fault of what was asked either."""

    @property
    def never_own(self) -> bool:
        """Whether it says nothing of this request, whatever others are answered."""
        return self.unreached or self.account

    @property
    def limited(self) -> bool:
        """Whether the endpoint is there, and is being asked too often."""
        return self.kind is Kind.PASSES and self.status in {400, 403, 429}


@dataclass(frozen=True, slots=True)
class Told:
    """What an endpoint says of an error, wherever it says it."""

    status: int | None
    codes: tuple[str, ...]
    """Codes, types and reasons."""
    words: str
    """What is meant for people."""
    parameter: str | None = None
    """The part of the request that it is about, where that is named apart."""

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join((*self.codes, self.words))

    @property
    def about_prompt(self) -> bool:
        """Whether the words of the prompt, or their number, are turned away."""
        return bool(_FILTERED.search(self.text) or _TOO_LONG.search(self.text))


def any_of(*ways: str) -> re.Pattern[str]:
    """Any of several ways to say a thing, in whatever case."""
    return re.compile("|".join(ways), re.IGNORECASE | re.DOTALL)


_UNPAID = any_of(
    r"insufficient[ _]?(?:user[ _])?(?:quota|credit|balance|fund)",
    r"billing|payment[ _]required|credit balance|out of credits|requires? more credits|arrearage",
    r"(?:quota|credits?|balance)\b.{0,30}\b(?:used up|exhausted|depleted|too low|run out)",
    r"(?:account|organi[sz]ation|team).{0,30}(?:deactivated|suspended|disabled)|access[_ ]terminated|good standing",
    r"budget[_ ](?:has been )?exceeded|exceeded ?budget|over budget|spending limit|used all available credits",
    r"exceeded your (?:monthly|weekly|daily) (?:included )?credits|api usage limits|余额不足|欠费|充值",
)
_BAD_KEY = any_of(
    r"(?:invalid|incorrect|missing|expired|revoked|wrong|no|unknown)[ _](?:api|auth)[ _-]?(?:key|token)",
    r"api[ _]key (?:is )?(?:not valid|invalid|expired|missing)",
    r"unauthori[sz]ed|authentication[_ ](?:error|failed)|permission[_ ]denied",
)
_NO_MODEL = any_of(
    r"model[_ ](?:not[_ ]found|decommissioned|not[_ ](?:available|supported|exist))",
    r"no such model|(?:unknown|invalid)[_ ]model(?!\w|\W+(?:param|arg|option|kwarg))|deploymentnotfound",
    r"model\b.{0,80}(?:does not exist|not found|decommissioned|no longer (?:available|supported)|shut ?down)",
    r"model identifier is invalid|on-demand throughput|no models? (?:is |are )?loaded|location is not supported",
    r"模型不存在",
)
_FLAGGED = any_of(
    r"content[ _-]?(?:filter|policy|management|moderation|violation)|moderation|flagged",
    r"violat\w+\b.{0,30}\b(?:guidelines?|polic(?:y|ies)|terms)",
)
_FILTERED = any_of(
    _FLAGGED.pattern,
    r"responsible ?ai|safety|data_inspection|prohibited|inappropriate|sensitive|guardrail|terms of (?:use|service)",
    r"was (?:filtered|blocked)|blocked by|敏感|不安全|违规",
)
_TOO_LONG = any_of(r"context[ _](?:length|window|size)|(?:prompt|input|request|message)s?\b.{0,30}too (?:long|large)")
_NEVER_FITS = any_of(r"requests? (?:is )?too large for")
"""One request takes more than a limit gives in a minute."""
_RATE = any_of(r"rate[ _-]?limit|too[ _]many[ _]requests|throttl|overloaded|at capacity")
_UPSTREAM = any_of(
    r"upstream (?:connect )?error|connection (?:error|reset|refused|timed out)",
    r"model (?:has |was )?(?:crashed|unloaded)|internal (?:server )?error|try again later|retry shortly",
)
"""A gateway's word for a fault behind it, whatever its status."""
_NOBODY_TAKES = any_of(r"no (?:endpoints?|providers?) .{0,40}(?:requested parameters|support)")
"""A gateway has nobody for these options."""
_FINAL = frozenset({401, 403, 404, 405, 407, 410, 501})
"""The key, the account, the model or the address is another."""
_TRANSIENT = frozenset({408, 409, 420, 423, 424, 425, 429, 444, 449, 498, 499})
_NOT_REACHED = (ConnectionRefusedError, socket.gaierror, ssl.SSLError, aiohttp.ConnectionTimeoutError)
_NO_ADDRESS = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, httpx2.UnsupportedProtocol, httpx2.InvalidURL)
_MENDED_OUTSIDE = (RedirectedElsewhereError, ssl.SSLCertVerificationError)
_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((ConnectionRefusedError,), "connection refused"),
    ((ssl.SSLError,), "there is no TLS connection to be had:"),
    ((ConnectionResetError, BrokenPipeError, aiohttp.ClientConnectionResetError), "connection reset"),
    ((aiohttp.ServerDisconnectedError,), "it hung up without an answer"),
    ((aiohttp.ServerTimeoutError, TimeoutError, httpx2.TimeoutException), "no reply in time"),
    ((aiohttp.ClientPayloadError, httpx2.RemoteProtocolError), "it hung up in the middle of the answer"),
    ((HttpProcessingError, aiohttp.ClientResponseError), "what it answers is no HTTP"),
    (_NO_ADDRESS, "this is no address to ask:"),
    ((AttributeError, TypeError, LookupError), "what it answers cannot be understood:"),
)


def read_failure(error: BaseException) -> Failure:
    """What one exception of an attempt means."""
    if isinstance(error, openai.APIStatusError):
        return _refusal(error.status_code, _body_of(error), error.response.headers, str(error))
    if isinstance(error, ErrorInReplyError):
        return _error_in_reply(error)
    cause = root_cause(error)
    kind = Kind.STOP if isinstance(cause, _NO_ADDRESS) else Kind.PASSES
    kind = Kind.SHUT if isinstance(cause, _MENDED_OUTSIDE) else kind
    return Failure(kind, _in_words(cause), unreached=isinstance(cause, _NOT_REACHED))


def told(error: openai.APIStatusError) -> Told:
    """What an endpoint says in refusing a request."""
    return _told(error.status_code, _body_of(error), str(error))


def root_cause(error: BaseException) -> BaseException:
    """The innermost error of the chain that says what happened: "Request timed out" may be a refused connection."""
    chain = list(_chain(error))
    for kind in (ssl.SSLError, socket.gaierror, OSError, aiohttp.ClientError, HttpProcessingError, httpx2.HTTPError):
        for inner in reversed(chain):
            if isinstance(inner, kind) and not (type(inner) is OSError and inner.errno is None):
                return inner
    return error


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def _in_words(cause: BaseException) -> str:
    """The cause as a person would say it."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {one_line(cause.verify_message)}"
    if isinstance(cause, socket.gaierror):
        return f"its name cannot be resolved ({cause.strerror})"
    said = next((words for kinds, words in _WORDS if isinstance(cause, kinds)), None)
    told = str(cause.strerror) if isinstance(cause, OSError) and cause.strerror else str(cause)
    if said is None or (isinstance(cause, TimeoutError) and told):
        return one_line(told or type(cause).__name__)
    return said if said[-1] != ":" else f"{said} {one_line(told)}"


def _error_in_reply(error: ErrorInReplyError) -> Failure:
    """An error with status 200 is read like one with the status that it names."""
    body = error.body if isinstance(error.body, Mapping) and error.body.get("error") else None
    if body is None:
        return Failure(Kind.PASSES, one_line(str(error)))
    inner = body["error"]
    numbers = (
        (inner.get(name) for name in ("code", "status", "status_code", "error_code"))
        if isinstance(inner, Mapping)
        else ()
    )
    status = next((int(str(n)) for n in numbers if str(n).isdigit() and 400 <= int(str(n)) < 600), None)
    return _refusal(status, body, {}, str(error))


def _refusal(status: int | None, body: Any, headers: Mapping[str, str], words: str) -> Failure:
    told, wait = _told(status, body, words), asked_wait(headers, body)
    kind = _kind(told, wait)
    return Failure(kind, one_line(told.words), status, wait, account=kind is Kind.SHUT and _of_account(told))


def _of_account(told: Told) -> bool:
    """Whether a refusal is about the key or what is left to spend, by its status or its code.

    Words alone may quote the prompt, and a 403 may be a firewall's: then a plain question shows whose fault it is.
    """
    codes = " ".join(told.codes)
    by_code = _UNPAID.search(codes) or (told.status != 403 and _BAD_KEY.search(codes))
    return bool(told.status in {401, 402, 407} or by_code or (told.status == 429 and _UNPAID.search(told.text)))


def _told(status: int | None, body: Any, otherwise: str) -> Told:
    words = beginning(words_in(body) or otherwise, LONGEST_TEXT)
    return Told(status, tuple(dict.fromkeys(_codes(body))), words, _parameter(body))


def _kind(told: Told, wait: float | None) -> Kind:
    """The table, from what is certain to what is likely; the first row that fits decides."""
    status, codes, text = told.status or 0, " ".join(told.codes), told.text
    unsaid = status == 0
    mends_nothing = any(rule.search(text) for rule in (_UNPAID, _BAD_KEY, _NO_MODEL))
    rows = (
        (status == 402 or _UNPAID.search(codes), Kind.SHUT),
        (_FLAGGED.search(codes) or (status == 403 and _FLAGGED.search(text) and not _UNPAID.search(text)), Kind.ITEM),
        (status in {400, 422, 451} and _FILTERED.search(text), Kind.ITEM),
        (status == 403 and (wait is not None or _RATE.search(text)), Kind.PASSES),
        (status == 404 and _NOBODY_TAKES.search(text), Kind.ITEM),
        (status in _FINAL, Kind.SHUT),
        ((unsaid or status in {400, 412, 422}) and mends_nothing, Kind.SHUT),
        (unsaid or (status == 400 and (_RATE.search(codes) or _UPSTREAM.search(text))), Kind.PASSES),
        (status == 429 and _NEVER_FITS.search(text), Kind.ITEM),
        (status == 429 and wait is None and _UNPAID.search(text) and not _RATE.search(codes), Kind.SHUT),
        (status in _TRANSIENT or status >= 500, Kind.PASSES),
        (status >= 400, Kind.ITEM),
    )
    # What is left is a redirect that leads nowhere: the address is another.
    return next((kind for fits, kind in rows if fits), Kind.SHUT)


def _body_of(error: openai.APIStatusError) -> Any:
    """The whole body, of which openai keeps the part under `error`."""
    try:
        return parse_body(error.response.content)
    except (ValueError, openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError):
        return {"error": error.body}


def _codes(body: Any) -> Iterator[str]:
    """Codes and types of an error, in the places where servers put them."""
    for part in _parts(body):
        for name in ("code", "type", "status", "reason", "Code", "error_code"):
            if isinstance(value := part.get(name), str | int) and not isinstance(value, bool):
                yield str(value)


def _parameter(body: Any) -> str | None:
    for part in _parts(body):
        if isinstance(name := part.get("param"), str):
            return name
        if isinstance(place := part.get("loc"), list) and place:
            return str(place[-1])
    return None


def words_in(body: Any) -> str:
    """What an error says to people."""
    if isinstance(body, Mapping):
        for name in SAYS_WRONG:
            if (value := body.get(name)) and (found := words_in(value)):
                behind = body.get("metadata")
                raw = behind.get("raw") if isinstance(behind, Mapping) else None  # what a gateway was told itself
                return f"{found}: {raw}" if isinstance(raw, str) else found
        return ""
    if isinstance(body, list):
        return "; ".join(found for item in body[:3] if (found := words_in(item) or str(item)))
    return body if isinstance(body, str) else ""


def _parts(body: Any, depth: int = 4) -> Iterator[Mapping[str, Any]]:
    if depth and isinstance(body, Mapping):
        yield body
        for value in body.values():
            yield from _parts(value, depth - 1)
    elif depth and isinstance(body, list):
        for item in body[:5]:
            yield from _parts(item, depth - 1)


def one_line(text: str) -> str:
    """A text on one line, not too long, and storable."""
    line = hidden(" ".join(str(storable(text)).split()))
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}…"
