"""What a request asks of an endpoint in OpenAI's words, and doing without what an endpoint refuses.

Endpoints that call themselves OpenAI-compatible differ in what they take: some know no log-probabilities, no JSON
schemas, no seed or no system message, some allow five alternatives, some reasoning models no temperature and no small
cap, some servers the limit on tokens by its older name alone. What one refuses is found out by asking, once, and
remembered.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import openai

from ...core.records import LLMRequest, Message
from .failures import Told, any_of, told

REFUSALS = (openai.BadRequestError, openai.UnprocessableEntityError, openai.NotFoundError)
"""How an endpoint says that it does not take an option."""

_LUXURIES = ("seed", "reasoning_effort", "response_format", "top_logprobs", "logprobs")
"""A request is as good a question without these: any complaint about one is reason enough to leave it out."""
_ESSENTIALS = ("top_p", "temperature", "max_tokens", "max_completion_tokens")
"""These are given up only where the endpoint says that it does not take them; a value out of range is an error."""
_GIVEN_UP = (*_LUXURIES, *_ESSENTIALS)
"""Of two that exclude each other the one further ahead goes."""
CAPS = ("max_tokens", "max_completion_tokens")
"""The names, old and new, of the most tokens of a reply."""
_SUSPECTS = ("max_tokens", "seed", "response_format", "top_logprobs", "reasoning_effort", "top_p", "temperature")
"""The order in which options are left out where an endpoint refuses a request without saying why."""
_DEFAULTS = {"temperature": 1.0, "top_p": 1.0}
"""With these values a request is the same without them."""
_ALSO_CALLED = {
    "response_format": r"response_format|json_schema|structured[ _]outputs?|guided|grammar|json mode"
    r"|json_validate_failed|generate.{0,12}json",
    "top_logprobs": r"top_logprobs|top_n_tokens|num_logprobs",
    "logprobs": r"logprobs|log[ -]?prob(?:abilitie)?s",
    "seed": r"seed|random_seed",
    "reasoning_effort": r"reasoning_effort|reasoning effort",
}
_UNKNOWN = any_of(
    r"un(?:supported|known|recogni[sz]ed|expected)",
    r"not (?:be )?(?:supported|permitted|allowed|recogni[sz]ed|accepted|known)|no longer|deprecated",
    r"(?:does|do|can)(?: not|n't|not) (?:support|accept|allow|take|be)|extra inputs|extra_forbidden",
    r"only the default|default of|only \S+ is (?:allowed|supported|accepted|permitted)|may only be set|or unset|不支持",
)
_EITHER = any_of(r"not both|cannot both|can't both|both be|only one|one of|mutually exclusive")
"""Two that exclude each other."""
_TOO_LARGE = any_of(r"too (?:large|long)|context length|at most|less than or equal")
_RANGE = any_of(
    r"too (?:large|long|many|high)|context length|at most|less than|greater than|larger than|between|exceed",
    r"maximum|max allowed|up to|range|<=",
)
_LEAST_TEMPERATURE = any_of(r"temperature\W.{0,40}(?:strictly positive|positive|greater than 0|> ?0)")
_NO_SYSTEM = any_of(
    r"system[ _](?:role|message|prompt|instruction)s?\b.{0,60}(?:not|n't|unsupported)",
    r"(?:not|n't|un)\s?support\w*.{0,40}\bsystem\b|role.{0,30}\bsystem\b|roles must alternate",
    r"developer instruction is not enabled|must start with (?:a |the )?user|only user and assistant roles",
    r"invalid.{0,20}'system'|不支持\s*system|system\s*角色",
)
_CAP_TOO_SMALL = any_of(
    r"(?:could not|couldn't|unable to|not) (?:be )?finish.{0,80}max_tokens|higher max_tokens",
    r"increase.{0,20}max_(?:completion_)?tokens",
    r"max_(?:completion_)?(?:output_)?tokens\b.{0,60}(?:at least|minimum|too (?:small|low)|below|>=)",
    r"max_(?:completion_)?(?:output_)?tokens\b.{0,60}greater than(?: or equal)?",
)
_MOST = any_of(
    r"(?:at most|less than or equal to|less than|max(?:imum)?(?: allowed)?(?: value)?(?: of| is)?|between [01] and"
    r"|up to|<=|exceeds?|'le':|\"le\":)\D{0,12}(\d{1,3})\b"
)
_LEAST = any_of(r"(?:at least|minimum(?: value)?(?: of| is)?|greater than or equal to|>=)\D{0,12}(\d{1,6})\b")
LARGEST_CAP = 16_384
SMALL_TEMPERATURE = 0.01
MOST_TRIALS = 3
"""How often all options are left out one by one, to no avail, before refusals without a word are taken as they are."""
OPENAI_HOSTS = ("api.openai.com", "openai.azure.com")
"""Here the limit on tokens has one name, and a request with both is turned away."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it is sent."""

    messages: tuple[Message, ...]
    options: Mapping[str, Any]
    without: frozenset[str] = field(default=frozenset(), compare=False)
    """Options on trial that it would have had otherwise."""

    @property
    def cap(self) -> int:
        """The most tokens of the reply."""
        return max(int(self.options[name]) for name in CAPS if name in self.options)


class RequestOptions:
    """The options of requests to one endpoint's model; learns which of them it takes."""

    def __init__(self, url: str = "") -> None:
        host = urlsplit(url).hostname or ""
        # A server that ignores the newer name writes without end, so both are said wherever both may be.
        self._one_cap = host.endswith(OPENAI_HOSTS)
        self._refused: set[str] = set()
        self._proven: set[str] = set()
        self._on_trial: list[str] = []
        self._trials = MOST_TRIALS
        self._alternatives: int | None = None
        self._least_cap, self._least_temperature, self._system = 0, 0.0, True

    @property
    def left_out(self) -> list[str]:
        """What is no longer sent, or not as it was asked, by name."""
        changed = {
            "top_logprobs beyond " + str(self._alternatives): self._alternatives is not None,
            "max_tokens below " + str(self._least_cap): self._least_cap > 0,
            "temperature 0": self._least_temperature > 0,
            "system messages": not self._system,
        }
        return sorted(self._refused) + [name for name, said in changed.items() if said]

    def of(self, request: LLMRequest, reasoning_effort: str | None = None) -> Asked:
        """The messages and options of a chat completion, as they are sent."""
        cap = max(request.sampling.max_tokens, self._least_cap)
        wanted: dict[str, Any] = {
            "temperature": max(request.sampling.temperature, self._least_temperature),
            "top_p": request.sampling.top_p,
            "max_completion_tokens": cap,
            "seed": request.seed,
        }
        if not self._one_cap or "max_completion_tokens" in self._refused:
            wanted["max_tokens"] = cap
        if request.top_logprobs is not None:
            most = request.top_logprobs if self._alternatives is None else self._alternatives
            wanted |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, most)}
        if reasoning_effort is not None:
            wanted["reasoning_effort"] = reasoning_effort
        if request.json_schema is not None:
            schema = {"name": "reply", "schema": request.json_schema, "strict": True}
            wanted["response_format"] = {"type": "json_schema", "json_schema": schema}
        on_trial = set(self._on_trial)
        refused = self._refused | on_trial
        if refused & {"logprobs", "top_logprobs"}:
            refused = refused | {"logprobs", "top_logprobs"}
        options = {name: value for name, value in wanted.items() if name not in refused}
        messages = request.messages if self._system else folded(request.messages)
        return Asked(messages, options, without=frozenset(on_trial & wanted.keys()))

    def worked(self, asked: Asked) -> None:
        """These options were taken; of those that it went without on trial, the last is what had been refused."""
        self._proven |= asked.options.keys()
        if self._on_trial and self._on_trial[-1] in asked.without:
            self._refused.add(self._on_trial[-1])
            self._on_trial.clear()

    def overrun(self) -> None:
        """A reply went far beyond its cap: from now on the older name alone is used."""
        if "max_tokens" not in self._refused:
            self._refused.add("max_completion_tokens")

    def learn(self, error: openai.APIStatusError, request: LLMRequest, asked: Asked, effort: str | None = None) -> bool:
        """Remember what a refusal is about; True where the request can be asked again without it.

        `asked` is the refused attempt: a call beside it may have found out as much by now.
        """
        if self.of(request, effort) != asked:
            return True
        return self._learn(told(error), asked) and self.of(request, effort) != asked

    def _learn(self, refusal: Told, asked: Asked) -> bool:
        """Take a refusal in; False where it turned out to be about no option."""
        options, text = asked.options, refusal.text
        if _NO_SYSTEM.search(text) and asked.messages[0].role == "system":
            self._system = False
        elif _CAP_TOO_SMALL.search(text) or (refusal.parameter in CAPS and _LEAST.search(text)):
            self._widen_cap(text, asked.cap)
        elif options.get("temperature") == 0 and _LEAST_TEMPERATURE.search(text):
            self._least_temperature = SMALL_TEMPERATURE
        elif name := _blamed(refusal, options):
            if name not in {"top_logprobs", "logprobs"} or not self._fewer_alternatives(text, options):
                self._refused.add(name)
        elif refusal.parameter is None and not refusal.about_prompt and not _names_any(text):
            return self._try_without(options)
        return True

    def _widen_cap(self, text: str, had: int) -> None:
        bound = _LEAST.search(text)
        wider = int(bound.group(1)) if bound and int(bound.group(1)) > had else 4 * had
        if had < LARGEST_CAP:
            self._least_cap = min(wider, LARGEST_CAP)

    def _fewer_alternatives(self, text: str, options: Mapping[str, Any]) -> bool:
        """Ask for fewer alternatives, where it is their number that is refused."""
        asked = int(options.get("top_logprobs", 0))
        if asked <= 1 or (_UNKNOWN.search(text) and not _RANGE.search(text)):
            return False
        bounds = [int(bound) for bound in _MOST.findall(text)]
        self._alternatives = max((bound for bound in bounds if 0 < bound < asked), default=asked // 2)
        return True

    def _try_without(self, options: Mapping[str, Any]) -> bool:
        """A refusal says nothing of what it is about: leave out one more option that was never taken yet.

        Where nothing is left to leave out, it was about none of them, and False is returned: all are sent again, and
        after `MOST_TRIALS` such trials none is left out for such a refusal any more. The only cap is never left out,
        for a reply could then have no end.
        """
        names = [name for name in _SUSPECTS if name in options and name not in self._proven]
        if not self._trials or not names or (names[0] in CAPS and len(options.keys() & set(CAPS)) < 2):
            self._on_trial.clear()
            self._trials = max(0, self._trials - 1)
            return False
        self._on_trial.append(names[0])
        return True


def _blamed(refusal: Told, options: Mapping[str, Any]) -> str | None:
    """The option that a refusal is about."""
    droppable = {name for name in options if name in _LUXURIES or options[name] == _DEFAULTS.get(name)}
    if (_UNKNOWN.search(refusal.text) or _EITHER.search(refusal.text)) and not _TOO_LARGE.search(refusal.text):
        droppable |= options.keys() & set(_ESSENTIALS)
    if "max_completion_tokens" not in options:
        droppable.discard("max_tokens")  # the last there is
    if refusal.parameter in droppable:
        return refusal.parameter
    places = {name: place for name in droppable if (place := _place(name, refusal.text)) is not None}
    if len(places) > 1 and _EITHER.search(refusal.text):
        return min(places, key=_GIVEN_UP.index)
    return min(places, key=lambda name: (places[name], name), default=None)


def _place(name: str, text: str) -> int | None:
    found = re.search(rf"\b(?:{_ALSO_CALLED.get(name, name)})\b", text, re.IGNORECASE)
    return found.start() if found else None


def _names_any(text: str) -> bool:
    return any(_place(name, text) is not None for name in (*_LUXURIES, *_ESSENTIALS, "messages"))


def folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages without a system's: its words stand before the first of the user's."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    rest = [message for message in messages if message.role != "system"]
    if not system:
        return tuple(rest)
    if not rest or rest[0].role != "user":
        return (Message(role="user", content=system), *rest)
    return (Message(role="user", content=f"{system}\n\n{rest[0].content}"), *rest[1:])
