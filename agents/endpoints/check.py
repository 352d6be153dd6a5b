"""Asking an endpoint, before anything is spent, whether it answers: by one tiny chat, asked as the run will ask.

A list of models decides nothing, since many endpoints have another one than OpenAI's, or none. It only helps to say
what is wrong, as do the addresses that may have been meant.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

import httpx2
import openai

from ...core.concurrency import run_to_end
from ...core.config import EndpointSettings
from ...core.errors import EndpointError, EndpointLostError, EndpointSetupError
from ...core.records import LLMReply, LLMRequest, Message, Role, Sampling
from .access import OPENAI_URL, Access
from .addresses import answering_address, close_names, listed_models
from .batches import NOT_HERE
from .client import OpenAIClient
from .failures import Failure, Kind, read_failure, root_cause, told

SIMULATED_OWNER = "openmic-simulated"
"""Who the simulated cast's server says owns its models; its figures are labelled wherever it is reached from."""
ATTEMPTS = 3
PAUSE_S = 1.0
"""Between two attempts, after an error of the server's own."""
TINY = 16
"""Tokens of the reply, the least that some endpoints take."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why a tiny chat was not answered."""

    failure: Failure
    unreadable: bool = False
    """Whether something was answered that is no chat completion."""
    about_model: bool = False
    """Whether it is the model that is turned away."""
    about_prompt: bool = False
    """Whether it is the words."""
    unpaid: bool = False
    silent: bool = False
    """Whether somebody is there, and takes long."""

    @property
    def elsewhere(self) -> bool:
        """Whether an endpoint may be there, and not at this address."""
        status = self.failure.status or 0
        return self.unreadable or status in NOT_HERE or 300 <= status < 400


def check_endpoint(name: str, settings: EndpointSettings) -> bool:
    """Check the endpoint that `cast.<name>` sets; returns whether it is a simulated cast served elsewhere.

    Raises:
        EndpointSetupError: it cannot be reached, rejects the key, lacks the model, or does not chat.
    """
    return run_to_end(partial(_check, name, settings))


def check_scores_prompts(name: str, settings: EndpointSettings) -> None:
    """Check that the endpoint that `cast.<name>` sets gives log-probabilities of a prompt, as cloze verdicts need.

    Raises:
        EndpointSetupError: it does not; what to do is said.
    """
    access = _access(name, settings)
    request = replace(_tiny(name, settings, "One two three four"), score_prompt=True)
    refused = run_to_end(partial(_asked, settings, access, request, attempts=1))
    if isinstance(refused, LLMReply) or refused.failure.status == 429:
        return
    raise EndpointSetupError(
        f"cast.{name}: the endpoint {access.url} does not score prompts with {settings.model!r} "
        f"({refused.failure.reason}); cloze verdicts need completions with `echo` and `logprobs`: set verdict.style to "
        "label or reason, or another endpoint"
    )


def scored_tokens(name: str, settings: EndpointSettings, ids: Sequence[int]) -> list[str] | None:
    """The tokens that the endpoint which `cast.<name>` sets takes a prompt of ids for, having scored it.

    None where it is too busy to say.

    Raises:
        EndpointSetupError: it does not score prompts of token ids; what to do is said.
    """
    access = _access(name, settings)
    request = replace(_tiny(name, settings, "One two three four"), score_prompt=True, prompt_ids=tuple(ids))
    found = run_to_end(partial(_asked, settings, access, request, attempts=1))
    if isinstance(found, LLMReply):
        return [token.token for token in (found.prompt_logprobs or ())[: len(ids)]]
    if found.failure.status == 429:
        return None
    raise EndpointSetupError(
        f"cast.{name}: the endpoint {access.url} does not score the student's tokens with {settings.model!r} "
        f"({found.failure.reason}); on-policy distillation needs completions with `echo` and `logprobs` for prompts of "
        "token ids, as vLLM has them, and a model with the student's tokenizer: name another endpoint or model, or set "
        "training.objective to another than opd"
    )


def check_takes_batches(name: str, settings: EndpointSettings) -> None:
    """Check that the endpoint that `cast.<name>` sets takes requests in batches.

    Raises:
        EndpointSetupError: it does not, or not with this key; what to do is said.
    """
    access = _access(name, settings)
    failure = run_to_end(partial(_refuses_batches, settings))
    if failure is None or (failure.kind is Kind.PASSES and not failure.unreached):
        return
    status = f"HTTP {failure.status}: {failure.reason}" if failure.status else failure.reason
    has = "has no batch API" if failure.status in NOT_HERE else "takes no batches"
    raise EndpointSetupError(
        f"cast.{name}.batch: the endpoint {access.url} {has} (its list of batches: {status}); set cast.{name}.batch to "
        "false, or another endpoint"
    )


async def _refuses_batches(settings: EndpointSettings) -> Failure | None:
    client = OpenAIClient(settings)
    try:
        return await client.batches.refused()
    finally:
        await client.close()


async def _check(name: str, settings: EndpointSettings) -> bool:
    access = _access(name, settings)
    refused = await _asked(settings, access, _tiny(name, settings, "Say OK."))
    if isinstance(refused, LLMReply) or _is_there(refused):
        listed = await listed_models(access)
        return any(one.name == settings.model and one.owner == SIMULATED_OWNER for one in listed or ())
    raise EndpointSetupError(f"cast.{name}: {await _explained(name, settings, access, refused)}")


def _access(name: str, settings: EndpointSettings) -> Access:
    try:
        access = Access.of(settings)
    except EndpointSetupError as error:
        raise EndpointSetupError(f"cast.{name}: {error}") from None
    if access.url == OPENAI_URL and access.key is None:
        raise EndpointSetupError(
            f"cast.{name}: {access.url} needs a key; set the environment variable {settings.api_key_env}, name another "
            f"endpoint with cast.{name}.base_url or OPENAI_BASE_URL, or use the model `simulated`"
        )
    if access.key is not None and not (access.key.isascii() and access.key.isprintable()):
        raise EndpointSetupError(
            f"cast.{name}: what the environment variable {settings.api_key_env} holds is no key: it has a line break "
            "or a character outside ASCII in it; set it to a valid key"
        )
    return access


def _tiny(name: str, settings: EndpointSettings, words: str) -> LLMRequest:
    role: Role = next((role for role in get_args(Role) if role == name), "critic")
    message = Message(role="user", content=words)
    return LLMRequest(role, settings.model, (message,), Sampling(temperature=0.0, max_tokens=TINY), seed=0)


async def _asked(
    settings: EndpointSettings, access: Access, request: LLMRequest, *, attempts: int = ATTEMPTS
) -> LLMReply | _Refused:
    """Ask as the run does, options that are refused left out; the reply, or why there is none."""
    once = settings.model_copy(update={"max_retries": 0, "patience_s": 0.0})
    try:
        client = OpenAIClient(once)
    except (httpx2.InvalidURL, ValueError) as error:
        return _Refused(Failure(Kind.STOP, f"this is no address to ask: {error}"))
    try:
        for attempt in range(attempts):
            await asyncio.sleep(PAUSE_S if attempt else 0)
            try:
                return await client.complete(request)
            except (EndpointError, EndpointLostError) as error:
                refused = _read(settings.model, access, error)
            if not _may_pass(refused):
                return refused
            await client.close()
            client = OpenAIClient(once)
    finally:
        await client.close()
    return refused


def _may_pass(refused: _Refused) -> bool:
    """Whether asking once more may help. Not where nobody is there, or who is there has taken all the time there is."""
    failure = refused.failure
    nobody = failure.status is None and (failure.unreached or refused.silent)
    return failure.kind is Kind.PASSES and failure.status != 429 and not nobody


def _read(model: str, access: Access, error: Exception) -> _Refused:
    cause = error.__cause__ or error
    failure = read_failure(cause)
    reason = access.redacted(failure.reason)
    said = told(cause) if isinstance(cause, openai.APIStatusError) else None
    text = said.text.lower() if said is not None else failure.reason.lower()
    refused = failure.status is not None and failure.kind is not Kind.PASSES
    unpaid = refused and (failure.status == 402 or (failure.status in {400, 429} and failure.kind is Kind.SHUT))
    about_model = refused and failure.status not in {402, 429} and _names_model(text, model)
    return _Refused(
        replace(failure, reason=reason),
        unreadable=failure.status is None and isinstance(cause, ValueError | LookupError | TypeError | AttributeError),
        about_model=about_model,
        about_prompt=said is not None and said.about_prompt,
        unpaid=unpaid and not about_model,
        silent=isinstance(root_cause(cause), TimeoutError | httpx2.TimeoutException),
    )


def _names_model(text: str, model: str) -> bool:
    """Whether an error's words are about the model."""
    named = re.escape(model.lower())
    return re.search(rf"\bmodels?\b|deployment|[`'\"]{named}[`'\"]", text) is not None


def _is_there(refused: _Refused) -> bool:
    """Whether the endpoint answers, though not this: it is busy, or dislikes what was said."""
    failure = refused.failure
    if failure.status == 429:
        return failure.kind is Kind.PASSES
    return failure.kind is Kind.ITEM and refused.about_prompt


async def _explained(name: str, settings: EndpointSettings, access: Access, refused: _Refused) -> str:
    """What is wrong, and which key mends it."""
    status = f"HTTP {refused.failure.status}" if refused.failure.status else refused.failure.reason
    return (
        _about_account(settings, access, refused, status)
        or await _about_address(name, settings, access, refused, status)
        or await _about_model(name, settings, access, refused, status)
        or _about_base(name, settings, access, refused, status)
    )


def _about_account(settings: EndpointSettings, access: Access, refused: _Refused, status: str) -> str | None:
    failure, url = refused.failure, access.url
    if failure.status in {401, 403} and not refused.about_model:
        sent = f", with the headers {', '.join(settings.headers)}" if settings.headers else ""
        held = "rejects the key in" if access.key else "wants a key, and there is none in"
        return (
            f"the endpoint {url} {held} the environment variable {settings.api_key_env}{sent} "
            f"({status}: {failure.reason}); set it to a valid key"
        )
    if refused.unpaid:
        return f"the account at {url} cannot go on ({status}: {failure.reason}); see to it, or use another endpoint"
    return None


async def _about_address(
    name: str, settings: EndpointSettings, access: Access, refused: _Refused, status: str
) -> str | None:
    lost = refused.failure.status is None and not refused.unreadable
    if refused.about_model or not (lost or refused.elsewhere):
        return None
    meant = None if refused.silent else await answering_address(access, settings.model)
    if meant is not None and meant == access.url:
        return f"{meant} answers chats only without the query {'&'.join(access.query)} ({status}); leave it out"
    if meant is not None:
        query = (settings.base_url or "").strip().partition("?")
        return (
            f"{access.url} does not answer chats ({status}), and {meant} does: set {_base(name, settings)} to "
            f"{meant}{query[1]}{query[2]}"
        )
    if lost:
        return (
            f"the endpoint {access.url} cannot be reached ({refused.failure.reason}); is it running, and is the "
            f"address right? Set cast.{name}.base_url or OPENAI_BASE_URL"
        )
    return None


async def _about_model(
    name: str, settings: EndpointSettings, access: Access, refused: _Refused, status: str
) -> str | None:
    if not refused.about_model and refused.failure.status not in NOT_HERE:
        return None
    listed = [one.name for one in await listed_models(access) or ()]
    if settings.model in listed:
        return (
            f"the endpoint {access.url} lists the model {settings.model!r} and does not chat with it ({status}: "
            f"{refused.failure.reason}); set cast.{name}.model to one that chats"
        )
    if not listed and not refused.about_model:
        return None
    has = f"; it has {', '.join(close_names(settings.model, listed))}" if listed else f": {refused.failure.reason}"
    return f"the endpoint {access.url} has no model {settings.model!r} ({status}){has}; set cast.{name}.model"


def _about_base(name: str, settings: EndpointSettings, access: Access, refused: _Refused, status: str) -> str:
    said = status if status == refused.failure.reason else f"{status}: {refused.failure.reason}"
    if refused.elsewhere:
        return (
            f"{access.url}/chat/completions is no OpenAI-compatible endpoint ({said}); is {access.url!r} the "
            f"endpoint's base, which ends in /v1 with most? Set {_base(name, settings)}"
        )
    return f"the endpoint {access.url} answers {said}"


def _base(name: str, settings: EndpointSettings) -> str:
    """Where the address was set."""
    return f"cast.{name}.base_url" if settings.base_url else "OPENAI_BASE_URL"
