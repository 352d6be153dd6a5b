"""The hub of models: whether it answers, asked once and shortly, so that nobody waits where it does not.

Its own library tries for half a minute before it looks into the cache, and fails over proxies that do not concern it.
"""

import os
import time
from pathlib import Path

from ...core.endpoints.proxies import connecting
from ...core.errors import ConfigError
from ...core.section import from_home

ANSWER_S = 5.0
"""How long the hub may take to answer anything at all."""
REMEMBERED_S = 60.0
"""For how long it is not asked again."""

_asked: dict[str, tuple[float, str]] = {}


def prepare_hub(name: str) -> str:
    """Make sure that opening a model by this name does not wait for a hub that is not there.

    Where the hub does not answer, models come from the cache alone, until it is asked again and does.

    Returns what is the matter with it, in words that fit into brackets; empty where nothing is, or for a folder.
    """
    from huggingface_hub import constants

    if Path(from_home(name)).is_dir() or "HF_HUB_OFFLINE" in os.environ or "TRANSFORMERS_OFFLINE" in os.environ:
        return ""
    trouble = _trouble(constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = bool(trouble)
    return trouble


def commit_of(name: str, revision: str | None) -> str | None:
    """The commit of a hub's model whose config.json was opened last by that revision; None where none was."""
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(
        name, "config.json", cache_dir=constants.HF_HUB_CACHE, revision=revision or constants.DEFAULT_REVISION
    )
    return Path(found).parent.name if isinstance(found, str) else None


def _trouble(address: str) -> str:
    asked, trouble = _asked.get(address, (float("-inf"), ""))
    if time.monotonic() - asked > REMEMBERED_S:
        trouble = _ask(address)
        _asked[address] = (time.monotonic(), trouble)
    return trouble


def _ask(address: str) -> str:
    import httpx2
    import huggingface_hub

    try:
        options = connecting(address)
        httpx2.Client().close()
    except ConfigError as error:
        return str(error)
    except (ImportError, ValueError, httpx2.InvalidURL):  # over a proxy that is not the one that is taken
        huggingface_hub.set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=None, **options))
    try:
        with httpx2.Client(timeout=ANSWER_S, **options) as client:
            status = client.head(address).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        why = str(error).strip() or type(error).__name__
        return f"the hub {address} cannot be reached: {why}; and the model is not in the cache {_cache()}"
    if status >= 500:
        return f"the hub {address} answers HTTP {status}, and the model is not in the cache {_cache()}"
    return ""


def _cache() -> str:
    from huggingface_hub import constants

    return constants.HF_HUB_CACHE
