"""Trying the student's server before anybody is paid: it answers, and takes an adapter that does nothing.

The adapter has the shape of those that will be trained and lies where they will lie; it takes the engine's own calls.
"""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import openai

from ...core.concurrency import run_to_end
from ...core.endpoints.secrets import beginning
from ...core.errors import AdapterError, ConfigError, GenerationError, StudentLostError
from ...core.records import AdapterRef
from ...core.student_settings import StudentSettings
from ...core.training_settings import LoRASettings
from ..adapters.idle import idle_adapter
from .endpoint import EndpointEngine, what_happened
from .endpoint_client import student_client
from .engine import plain_request

LOOK_SECONDS = 5.0
_STARTED = {
    "vllm": "vLLM has to be started with --enable-lora, --max-lora-rank of {r} or more, and the environment variable "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True",
    "sglang": "SGLang has to be started with --enable-lora, --max-lora-rank of {r} or more, and --lora-target-modules",
}


def try_student_endpoint(settings: StudentSettings, lora: LoRASettings, folder: Path) -> None:
    """Ask the student's server for a token of the base model, and for one with an adapter.

    Args:
        settings: The student's; `endpoint` says where the server is.
        lora: What the adapter is like.
        folder: An existing folder in which adapters will be kept, which the server has to see.

    Raises:
        ConfigError: the server cannot be reached, rejects the key, lacks the base model, or takes no adapters.
        StudentError: as `try_student`.
    """
    assert settings.endpoint is not None, "StudentSettings sees to it"

    once = settings.endpoint.model_copy(update={"max_retries": 1})

    async def ask(ref: AdapterRef) -> None:
        engine = EndpointEngine(settings, once, settings.chat_template_kwargs)
        try:
            await _try_base(engine, settings)
            await _try_adapter(engine, settings, lora, ref)
        finally:
            await engine.close()

    with TemporaryDirectory(prefix=".preflight-", dir=folder) as place:
        Path(place).chmod(0o755)  # the server may run as somebody else
        run_to_end(partial(ask, idle_adapter(settings, lora, Path(place))))


async def _try_base(engine: EndpointEngine, settings: StudentSettings) -> None:
    try:
        await engine.generate(plain_request("preflight", 0))
    except (GenerationError, StudentLostError) as error:
        raise ConfigError(await _explained(settings, error)) from error


async def _try_adapter(engine: EndpointEngine, settings: StudentSettings, lora: LoRASettings, ref: AdapterRef) -> None:
    assert settings.endpoint is not None
    try:
        await engine.load(ref)
        await engine.generate(plain_request("preflight", ref.version))
    except (AdapterError, GenerationError, StudentLostError) as error:
        cause = error.__cause__
        said = f"HTTP {cause.status_code}: {_words(cause)}" if isinstance(cause, openai.APIStatusError) else str(error)
        raise ConfigError(
            f"student.endpoint: {settings.endpoint.base_url} takes no adapter at run time ({said}); "
            f"{_STARTED[settings.endpoint.server].format(r=lora.r)}, and has to see the folder {ref.uri}"
        ) from error
    await engine.unload(ref.version)


async def _explained(settings: StudentSettings, error: Exception) -> str:
    assert settings.endpoint is not None
    endpoint, cause = settings.endpoint, error.__cause__
    url, model = endpoint.base_url.rstrip("/"), endpoint.model or settings.model
    if not isinstance(cause, openai.APIStatusError):
        why = what_happened(cause or error, EndpointEngine.timeout_key)
        return (
            f"student.endpoint.base_url: the student's server {url} cannot be reached ({why}); is it running, and "
            "is the address right?"
        )
    status = cause.status_code
    if status in {401, 403}:
        return (
            f"student.endpoint: the student's server {url} does not take the key in the environment variable "
            f"{endpoint.api_key_env} (HTTP {status}: {_words(cause)}); set it to a valid key, or "
            "student.endpoint.api_key_env"
        )
    names = await _served(url, endpoint.api_key_env)
    if names and model not in names:
        return (
            f"student.endpoint.model: the student's server {url} has no model {model!r}; it has "
            f"{', '.join(sorted(names)[:10])}; set it to the name of the base model there"
        )
    if status == 404 and not names:
        near = [one for one in _near(url) if await _served(one, endpoint.api_key_env)]
        meant = f"{near[0]} does: set it to that" if near else "is it the server's base, ending in /v1?"
        return f"student.endpoint.base_url: {url} has no completions (HTTP 404: {_words(cause)}); {meant}"
    return f"student.endpoint: the student's server {url} answers HTTP {status}: {_words(cause)}"


def _near(url: str) -> Sequence[str]:
    """Addresses that may have been meant."""
    bare = url
    for ending in ("/completions", "/chat", "/models"):
        bare = bare.removesuffix(ending)
    return [each for each in (bare, f"{bare}/v1") if each != url]


async def _served(url: str, key_env: str) -> set[str]:
    """The models that a server lists; none where it lists none."""
    key = os.environ.get(key_env) or "none"
    try:
        async with student_client(url, key, timeout_s=LOOK_SECONDS, max_retries=0) as client:
            return {str(model.id) for model in (await client.models.list()).data or ()}
    except (openai.OpenAIError, StudentLostError, ValueError, TypeError, AttributeError):
        return set()


def _words(error: openai.APIStatusError) -> str:
    return beginning(" ".join(str(error.message).split()), 300)
