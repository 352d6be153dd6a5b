"""Texts without secrets: whatever endpoints, proxies and databases say may quote the keys they were given.

What is not worth hiding is left: a word that is too short, or that stands where no key is needed (`ollama`).
"""

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST_SECRET = 6
HIDDEN = "…"
_NO_SECRETS = frozenset(
    {
        "anything",
        "not-needed",
        "sk-no-key-required",
        "lm-studio",
        "ollama",
        "openmic",
        "postgres",
        "simulated",
        "unused",
    }
)
_SOUNDS_SECRET = re.compile(
    r"authori[sz]ation|cookie|secret|passw|pwd|credential|bearer|(?:^|[-_])(?:key|token|sig|auth)$|apikey|signature",
    re.IGNORECASE,
)
"""Names of headers and of an address's parameters."""
_SECRET_IN_A_BODY = re.compile(
    r"authori[sz]ation|cookie|secret|passw|credential|bearer|^auth$|api[-_]?keys?$|private[-_]?key"
    r"|(?:api|auth|access|session|refresh|id)[-_]?tokens?$",
    re.IGNORECASE,
)
"""Names in a body, where `sort_key` and `stop_token` are none."""
_kept = set[str]()


def refuse_secrets(given: Mapping[Any, Any], *, body: bool = False) -> None:
    """Raise ValueError where a value beneath a name that sounds secret stands there as it is."""
    sounds = _SECRET_IN_A_BODY if body else _SOUNDS_SECRET
    for name, value in given.items():
        if sounds.search(str(name)) and any(map(_is_said, _leaves(value))):
            raise ValueError(
                f"{name} would be stored with the run; put it into an environment variable and write "
                f"{name}: ${{NAME_OF_THE_VARIABLE}}"
            )
        for inner in _mappings(value):
            refuse_secrets(inner, body=body)


def _is_said(value: Any) -> bool:
    return "${" not in value if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def _leaves(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else None
    if inner is None:
        yield value
    else:
        for one in inner:
            yield from _leaves(one)


def _mappings(value: Any) -> Iterator[Mapping[Any, Any]]:
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _mappings(one)


def refuse_secret_address(url: str) -> None:
    """Raise ValueError where an endpoint's address holds a password, a key or a token."""
    address, *rest = re.split("[?#]", url)
    if re.search(r"://[^/@]*@", address):
        raise ValueError(
            "it holds a user, a password or a token, which would be stored with the run; leave it out, and write "
            "headers: {Authorization: Basic ${NAME_OF_THE_VARIABLE}}"
        )
    for name in (part.partition("=")[0] for query in rest for part in query.split("&")):
        if _SOUNDS_SECRET.search(name):
            raise ValueError(
                f"its {name} would be stored with the run; leave it out, and write query: "
                f"{{{name}: ${{NAME_OF_THE_VARIABLE}}}}"
            )


def keep_secret(*secrets: str) -> None:
    """From now on `hidden` leaves these out, in this process."""
    _kept.update(secrets)


def hidden(text: str) -> str:
    """A text that is to be shown or stored, without any secret of this process."""
    return without(text, _kept)


def beginning(text: str, most: int) -> str:
    """The first characters of a text from outside, without secrets; one that is cut short would be hidden no more."""
    return hidden(text)[:most]


def without(text: str, secrets: Collection[str]) -> str:
    """A text without these secrets, also as addresses, JSON and headers spell them."""
    for spelled in _spellings(frozenset(secrets)):
        text = text.replace(spelled, HIDDEN)
    return text


def without_all(value: Any, secrets: Collection[str]) -> Any:
    """A JSON value with all texts in it, names included, without these secrets."""
    if isinstance(value, str):
        return without(value, secrets)
    if isinstance(value, Mapping):
        return {without_all(name, secrets): without_all(inner, secrets) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_all(inner, secrets) for inner in value]
    return value


@lru_cache(maxsize=64)
def _spellings(secrets: frozenset[str]) -> list[str]:
    """The longest first, as one may hold another."""
    found = set[str]()
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET and secret.lower() not in _NO_SECRETS:
            found |= {secret, html.escape(secret), *_in_addresses(secret), *_in_json(secret), *_in_base64(secret)}
    return sorted(found, key=lambda spelled: (-len(spelled), spelled))


def _in_addresses(secret: str) -> Iterator[str]:
    for spelled in (quote(secret, safe=""), quote_plus(secret)):
        yield from (spelled, re.sub("%..", lambda found: found[0].lower(), spelled))


def _in_json(secret: str) -> Iterator[str]:
    for spelled in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield from (spelled, spelled.replace("/", "\\/"))


def _in_base64(secret: str) -> Iterator[str]:
    """What is its own in base64, whatever stands before and after it, such as `user:`; and all where nothing does."""
    said = secret.encode()
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(said).decode().rstrip("=")
        for before in range(3):
            whole = encode(b"\0" * before + said).decode()
            yield whole[-(-before * 4 // 3) : (before + len(said)) * 4 // 3]
