"""How an endpoint is reached: its address and key, and what its settings send along with every request."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self
from urllib.parse import unquote

import httpx2

from ...core.config import EndpointSettings
from ...core.endpoints.proxies import connecting
from ...core.endpoints.redirects import refuse_elsewhere
from ...core.endpoints.secrets import keep_secret, without, without_all
from ...core.errors import EndpointSetupError
from ...core.records import LLMReply, TokenLogprob

OPENAI_URL = "https://api.openai.com/v1"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def endpoint_url(settings: EndpointSettings) -> str:
    """Where the role's endpoint is: its own base_url, else OPENAI_BASE_URL, else OpenAI."""
    return _address(settings)[0]


def endpoint_key(settings: EndpointSettings) -> str | None:
    """The key from the environment, or None. Space around it, such as a copied line's end, is no part of it."""
    return os.environ.get(settings.api_key_env, "").strip() or None


def named_variables(settings: EndpointSettings) -> set[str]:
    """The environment's variables that the settings name."""
    sent = (settings.headers, settings.query, settings.extra_body)
    return {settings.api_key_env, *(name for part in sent for name in _VARIABLE.findall(json.dumps(part)))}


@dataclass(frozen=True, slots=True)
class Access:
    """What an endpoint's settings come to in this process's environment. Holds secrets: never stored or printed."""

    url: str
    key: str | None
    headers: Mapping[str, str]
    query: Mapping[str, str]
    extra_body: Mapping[str, Any]
    secrets: frozenset[str]
    """The key, and what the environment's variables held that headers, query or body name."""

    @classmethod
    def of(cls, settings: EndpointSettings, base_url: str | None = None) -> Self:
        """How the endpoint is reached that the settings name; `base_url` stands for another address.

        Raises:
            EndpointSetupError: an environment variable is not set that the settings name.
        """
        url, query = _address(settings, base_url)
        key = endpoint_key(settings)
        held = set[str]() if key is None else {key}
        filled = partial(_filled, held=held)
        access = cls(
            url=url,
            key=key,
            headers=filled(settings.headers, "headers"),
            query=query | filled(settings.query, "query"),
            extra_body=filled(settings.extra_body, "extra_body"),
            secrets=frozenset(held),
        )
        keep_secret(*held)
        return access

    @property
    def connecting(self) -> dict[str, Any]:
        """What an HTTP client is made with so that every request carries the query, through the right proxy or none.

        For httpx2's keywords.

        Raises:
            ConfigError: the environment names a proxy that cannot be used.
        """
        return {"params": dict(self.query), **connecting(self.url)}

    def redacted(self, text: str) -> str:
        """The text without what is secret: endpoints quote the keys they turn away."""
        return without(text, self.secrets)

    def clean(self, reply: LLMReply) -> LLMReply:
        """The reply without what is secret: an endpoint may echo what it was sent.

        Tokens that spell a secret, one by one, are left out with all others.
        """
        if not self.secrets:
            return reply
        parts = {name: getattr(reply, name) for name in ("text", "thought", "model", "finish_reason", "raw")}
        found = {name: clean for name, part in parts.items() if (clean := without_all(part, self.secrets)) != part}
        for name in ("token_logprobs", "prompt_logprobs"):
            tokens: tuple[TokenLogprob, ...] = getattr(reply, name) or ()
            spelled = "".join(token.token for token in tokens)
            told = [spelled, *(other for token in tokens for other in token.alternatives)]
            if without_all(told, self.secrets) != told:
                found[name] = None
        return reply.model_copy(update=found) if found else reply

    async def sign(self, request: httpx2.Request) -> None:
        """Put the headers into a request that is about to be sent; a hook for HTTP clients.

        Raises:
            RedirectedElsewhereError: it would go to another server than the endpoint's.
        """
        refuse_elsewhere(request, self.url)
        if self.headers:
            request.headers.update(self.headers)
        own = any(name.lower() == "authorization" for name in self.headers)
        if self.key is None and self.headers and not own:
            request.headers.pop("Authorization", None)  # whoever brings another header wants no key made up beside it


def _address(settings: EndpointSettings, base_url: str | None = None) -> tuple[str, dict[str, str]]:
    """The address without its query, as paths are laid after it, and the query."""
    given = base_url or settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    bare, _, query = given.strip().partition("?")
    if within := re.search(r"://([^/@]*)@", bare):  # in the environment; a configuration holds none
        parts = (within[1], within[1].partition(":")[2])
        keep_secret(*parts, *map(unquote, parts))
    return bare.rstrip("/"), dict(httpx2.QueryParams(query))


def _filled(given: Any, key: str, held: set[str]) -> Any:
    """The same with the environment's values in place of `${NAME}`, at every depth; they are added to `held`."""
    if isinstance(given, Mapping):
        return {name: _filled(value, f"{key}.{name}", held) for name, value in given.items()}
    if isinstance(given, list):
        return [_filled(value, key, held) for value in given]
    if not isinstance(given, str):
        return given
    return _VARIABLE.sub(lambda found: _environment(found.group(1), key, held), given)


def _environment(name: str, key: str, held: set[str]) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise EndpointSetupError(f"{key} names the environment variable {name}, which is not set; set it")
    held.add(value)
    return value
