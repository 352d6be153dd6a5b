"""Asking an endpoint, before anything is spent, whether it is there, takes the key, and has the model."""

import difflib
from typing import Any

import httpx2

from ...core.config import EndpointSettings
from ...core.errors import EndpointSetupError
from ...core.proxies import connecting
from .access import OPENAI_URL, endpoint_key, endpoint_url

CHECK_SECONDS = 10.0
SIMULATED_OWNER = "openmic-simulated"
"""Who the simulated cast's server says owns its models; its figures are labelled wherever it is reached from."""


def check_endpoint(name: str, settings: EndpointSettings) -> bool:
    """Check the endpoint that `cast.<name>` sets; returns whether it is a simulated cast served elsewhere.

    Raises:
        EndpointSetupError: it cannot be reached, rejects the key, or lacks the model.
    """
    url, key = endpoint_url(settings), endpoint_key(settings)
    if url == OPENAI_URL and key is None:
        raise EndpointSetupError(
            f"cast.{name}: {url} needs a key; set the environment variable {settings.api_key_env}, name another "
            f"endpoint with cast.{name}.base_url or OPENAI_BASE_URL, or use the model `simulated`"
        )
    if key is not None and not (key.isascii() and key.isprintable()):
        raise EndpointSetupError(
            f"cast.{name}: what the environment variable {settings.api_key_env} holds is no key: it has a line break "
            "or a character outside ASCII in it; set it to a valid key"
        )
    headers = {"Authorization": f"Bearer {key or 'none'}"}
    timeout = min(CHECK_SECONDS, settings.timeout_s)
    try:
        with httpx2.Client(timeout=timeout, headers=headers, **connecting(url)) as client:
            answer = client.get(f"{url}/models")
            if answer.status_code in {404, 405, 501}:  # an endpoint may serve chat completions and nothing else
                answer = client.post(f"{url}/chat/completions", json=_smallest_request(settings.model))
                _check_status(name, settings, url, answer)
                return False
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise EndpointSetupError(
            f"cast.{name}: the endpoint {url} cannot be reached ({error}); is it running, and is the address right? "
            f"Set cast.{name}.base_url or OPENAI_BASE_URL"
        ) from None
    _check_status(name, settings, url, answer)
    return _check_model(name, settings, url, answer)


def check_scores_prompts(name: str, settings: EndpointSettings) -> None:
    """Check that the endpoint that `cast.<name>` sets gives log-probabilities of a prompt, as cloze verdicts need.

    Raises:
        EndpointSetupError: it does not; what to do is said.
    """
    url, key = endpoint_url(settings), endpoint_key(settings)
    body = {"model": settings.model, "prompt": "One two three four", "echo": True, "logprobs": 1, "max_tokens": 1}
    reason = "it sent no log-probabilities of the prompt"
    try:
        headers = {"Authorization": f"Bearer {key or 'none'}"}
        timeout = settings.timeout_s  # a model may have to be loaded first
        with httpx2.Client(timeout=timeout, headers=headers, **connecting(url)) as client:
            answer = client.post(f"{url}/completions", json=body)
            if answer.status_code == 429:
                return
            if answer.is_error:
                reason = f"HTTP {answer.status_code}: {answer.text[:200]}"
            elif len(answer.json()["choices"][0]["logprobs"]["token_logprobs"]) > 1:
                return
    except httpx2.HTTPError as error:
        reason = str(error)
    except (ValueError, LookupError, TypeError):
        pass
    raise EndpointSetupError(
        f"cast.{name}: the endpoint {url} does not score prompts with {settings.model!r} ({reason}); cloze verdicts "
        "need completions with `echo` and `logprobs`: set verdict.style to label or reason, or another endpoint"
    )


def _check_status(name: str, settings: EndpointSettings, url: str, answer: httpx2.Response) -> None:
    if answer.status_code in {401, 403}:
        held = "rejects the key in" if endpoint_key(settings) else "wants a key, and there is none in"
        raise EndpointSetupError(
            f"cast.{name}: the endpoint {url} {held} the environment variable {settings.api_key_env} "
            f"(HTTP {answer.status_code}); set it to a valid key"
        )
    if answer.status_code == 404:
        raise EndpointSetupError(
            f"cast.{name}: the endpoint {url} has no model {settings.model!r} (HTTP 404); set cast.{name}.model"
        )
    if answer.status_code == 429:  # it is there and knows us; the run's own retries will wait
        return
    if answer.is_error:
        raise EndpointSetupError(
            f"cast.{name}: the endpoint {url} answers HTTP {answer.status_code}: {answer.text[:200]}"
        )


def _check_model(name: str, settings: EndpointSettings, url: str, answer: httpx2.Response) -> bool:
    try:
        listed: list[dict[str, Any]] = answer.json()["data"]
        owners = {str(item["id"]): item.get("owned_by") for item in listed}
    except (ValueError, KeyError, TypeError):
        if answer.status_code == 429:
            return False
        raise EndpointSetupError(
            f"cast.{name}: {url}/models is no OpenAI-compatible model list; is {url!r} the endpoint's base, "
            "ending in /v1?"
        ) from None
    if settings.model not in owners:
        close = difflib.get_close_matches(settings.model, owners, n=3, cutoff=0.3) or sorted(owners)[:10]
        raise EndpointSetupError(
            f"cast.{name}: the endpoint {url} has no model {settings.model!r}; it has {', '.join(close)}; "
            f"set cast.{name}.model"
        )
    return owners[settings.model] == SIMULATED_OWNER


def _smallest_request(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
