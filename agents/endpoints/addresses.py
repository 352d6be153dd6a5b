"""What to say of an endpoint that does not answer: the models it lists, the address meant.

Nothing here decides whether an endpoint is fine.
"""

import asyncio
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx2

from ...core.endpoints.proxies import connecting
from ...core.endpoints.redirects import same_place
from .access import Access

LOOK_SECONDS = 5.0
_ENDINGS = re.compile(r"(?:/(?:chat/completions|completions|chat|models|responses|embeddings|messages))+/*$", re.I)
_TWICE = re.compile(r"(/v\d+)(?:\1)+$")
_BASES = ("", "/v1", "/openai/v1", "/api/v1", "/openai")
"""What endpoints' bases end in, the most usual first."""


class Listed(NamedTuple):
    """A model as an endpoint lists it."""

    name: str
    owner: str | None = None


async def listed_models(access: Access) -> list[Listed] | None:
    """The models that an endpoint lists, in whatever form; None where it has no list that can be read."""
    try:
        async with _client(access, access.url) as client:
            answer = await client.get(f"{access.url}/models")
            return None if answer.is_error else _read(answer.json())
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return None


def close_names(wanted: str, names: Sequence[str]) -> list[str]:
    """Names that were most likely meant: the same but for tag or prefix, then alike, then any."""
    same = [name for name in names if _bare(name) == _bare(wanted)]
    alike = difflib.get_close_matches(wanted, names, n=3, cutoff=0.3)
    bare = {_bare(name): name for name in names}
    alike += [bare[name] for name in difflib.get_close_matches(_bare(wanted), bare, n=3, cutoff=0.6)]
    return list(dict.fromkeys([*same, *alike]))[:3] or sorted(names)[:10]


async def answering_address(access: Access, model: str) -> str | None:
    """The address most likely meant by one that does not answer; None where nobody answers near.

    The same one means that it answers without its query.
    """
    candidates, bare = addresses(access.url), replace(access, query={})
    looks = [_answers(access, url, model) for url in candidates]
    if access.query:
        candidates, looks = [*candidates, access.url], [*looks, _answers(bare, access.url, model)]
    found = await asyncio.gather(*looks)
    return next((url for url, answers in zip(candidates, found, strict=True) if answers), None)


def addresses(url: str) -> list[str]:
    """What may have been meant by an address, the likeliest first; never itself."""
    try:
        _ = urlsplit(url).port
    except ValueError:  # no address at all
        return []
    if not re.match(r"https?://", url, re.I):
        if "://" in url or not re.match(r"[\w.-]+(?::\d+)?(?:/|$)|\[[\d:a-f]+\]", url):
            return []
        whole = [f"http://{url}", f"https://{url}"]
        return list(dict.fromkeys([*whole, *(near for each in whole for near in addresses(each))]))
    parts = urlsplit(url)
    path = _TWICE.sub(r"\1", _ENDINGS.sub("", parts.path).rstrip("/"))
    stem = re.sub(r"/(?:v\d+\w*|api|openai)(?:/.*)?$", "", path)
    paths = [path, *(path + base for base in _BASES if base), *(stem + base for base in _BASES), *_BASES[1:]]
    other = {"http": "https", "https": "http"}[parts.scheme.lower()]
    found = [urlunsplit((parts.scheme, parts.netloc, each, "", "")) for each in paths]
    found += [urlunsplit((other, parts.netloc, each, "", "")) for each in (parts.path, path, f"{path}/v1")]
    return [each for each in dict.fromkeys(found) if each != url and not _TWICE.search(each)]


def _bare(name: str) -> str:
    """A model's name without a tag and without what stands before it."""
    return name.rpartition("/")[2].partition(":")[0].lower()


def _client(access: Access, url: str) -> httpx2.AsyncClient:
    """A client for an address, which shows the key only where the settings send it anyway."""
    if not same_place(url, access.url):
        return httpx2.AsyncClient(timeout=LOOK_SECONDS, **connecting(url))
    headers = {"Authorization": f"Bearer {access.key or 'none'}"}
    hooks = {"request": [access.sign]}
    return httpx2.AsyncClient(timeout=LOOK_SECONDS, headers=headers, event_hooks=hooks, **access.connecting)


async def _answers(access: Access, url: str, model: str) -> bool:
    """Whether chats are answered at an address, be it that they want a key."""
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    try:
        async with _client(access, url) as client:
            answer = await client.post(f"{url}/chat/completions", json=body)
            said = answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        return False
    if not isinstance(said, Mapping):
        return False
    if answer.status_code == 404:  # a route that is not there says nothing of models
        return "model" in str(said.get("error", "")).lower()
    return "choices" in said if answer.is_success else answer.status_code not in {405, 501} and "error" in said


def _read(body: Any) -> list[Listed] | None:
    """The models in a list as OpenAI's, a bare list, or one under another key."""
    if isinstance(body, Mapping):
        lists = [body[key] for key in ("data", "models", "result", "items") if isinstance(body.get(key), list)]
        body = lists[0] if lists else None
    if not isinstance(body, list):
        return None
    found = []
    for item in body:
        if isinstance(item, str):
            found.append(Listed(item))
        elif isinstance(item, Mapping):
            name = next((item[key] for key in ("id", "name", "model") if isinstance(item.get(key), str)), None)
            if name is not None:
                owner = item.get("owned_by")
                found.append(Listed(name, owner if isinstance(owner, str) else None))
    return found or None
