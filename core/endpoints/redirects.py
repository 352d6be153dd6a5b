"""Where a request may be sent on to: an endpoint's own server, and no other gets prompts or keys."""

from urllib.parse import urlsplit

import httpx2

from .proxies import is_this_machine


class RedirectedElsewhereError(httpx2.RequestError):
    """An endpoint sends a request on to another server, to which neither prompt nor key is sent."""


def same_place(url: str, known: str) -> bool:
    """Whether what is meant for one address may be sent to another: the same server, and nobody listens in."""
    new, old = urlsplit(url), urlsplit(known if "://" in known else f"{urlsplit(url).scheme}://{known}")
    if new.netloc.lower() != old.netloc.lower():
        return False
    return new.scheme in {old.scheme.lower(), "https"} or is_this_machine(new.hostname or "")


def refuse_elsewhere(request: httpx2.Request, known: str) -> None:
    """Let a request that is about to be sent go to an endpoint's server alone.

    Args:
        request: As it would be sent, also after a redirect.
        known: The endpoint's address.

    Raises:
        RedirectedElsewhereError: it would go to another server.
    """
    if not same_place(str(request.url), known):
        raise RedirectedElsewhereError(
            f"it sends requests on to {request.url.scheme}://{request.url.netloc.decode()}, which gets neither "
            "prompts nor keys; set base_url to that address if it is meant"
        )
