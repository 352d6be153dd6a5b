"""Which engine a student gets, and making it."""

import inspect
import os
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple

from ...core.errors import ConfigError, OpenmicError
from ...core.plugs import import_plug
from ...core.student_settings import StudentSettings
from ..student.fingerprint import ANY_FILES, KnownFiles
from ..student.student import inspect_student, load_student, resolve_device
from . import continuous_needs
from .engine import EngineFactory, StudentEngine, refuse_seq2seq
from .vllm.installed import vllm_is_installed

KEY = "student.engine"
_METHODS = ("generate", "load", "unload", "close")

SEEN_RIGHT = frozenset(
    {
        "GPT2LMHeadModel",
        "GPTNeoXForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "Olmo2ForCausalLM",
        "OPTForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "SmolLM3ForCausalLM",
    }
)
"""Architectures with which tests have seen `continuous` and `slots` say, token for token, what `static` says."""

_OF_DEVICE = {"cpu": "continuous", "cuda": "slots"}
"""What `auto` takes on a kind of device where it can."""


class Choice(NamedTuple):
    """An engine, and what to know of its choice."""

    name: str
    note: str = ""
    """One line where it is another one than could be expected."""


def choose_engine(settings: StudentSettings) -> Choice:
    """The engine that the settings name, or that `auto` picks for the kind of student and its device.

    Without beam search, and for architectures that tests have seen them right with, `auto` is `continuous` on a CPU,
    where it was measured to be the fastest, and `slots` on a GPU; where vLLM is installed `vllm` there, for all causal
    students. Else it is `static`.

    Raises:
        ConfigError: the engine that is named cannot generate with this student, or with this transformers.
        StudentError: there is no such student.
    """
    if settings.engine in _OF_DEVICE.values():
        refuse_seq2seq(settings.model, inspect_student(settings).kind, settings.engine)
    if settings.engine == "continuous":
        architecture = inspect_student(settings).architecture
        if found := continuous_needs.breaks(architecture):
            raise ConfigError(
                f"student.engine=continuous does not go with {architecture} in transformers {found}; install another "
                "version, or set student.engine to static"
            )
    untested = continuous_needs.untested()
    if settings.engine == "continuous" and untested and (lacking := continuous_needs.lacking()):
        raise ConfigError(
            f"student.engine=continuous needs {lacking[0]}, which transformers {untested} does not have; install "
            f"{' or '.join(continuous_needs.TESTED)}, with which it was tested, or set student.engine to static"
        )
    return Choice(settings.engine) if settings.engine != "auto" else _fastest(settings, untested)


def _fastest(settings: StudentSettings, untested: str) -> Choice:
    """What `auto` takes; `untested` is as in `continuous_needs`."""
    if settings.sampling.num_beams > 1:
        return Choice("static")
    kind, student = resolve_device(settings.device).partition(":")[0], inspect_student(settings)
    if kind == "cuda" and student.kind == "causal" and vllm_is_installed(settings.vllm):
        return Choice("vllm")
    fastest = _OF_DEVICE.get(kind, "static")
    if student.architecture not in SEEN_RIGHT or student.own_code:
        return Choice("static")
    why = ""
    if fastest == "continuous" and (found := continuous_needs.breaks(student.architecture)):
        why = f"continuous does not go with {student.architecture} in transformers {found}"
    elif fastest == "continuous" and untested:
        why = f"continuous was tested with transformers {', '.join(continuous_needs.TESTED)}, not {untested}"
    return Choice("static", f"student.engine=auto is static, since {why}") if why else Choice(fastest)


def engine_name(settings: StudentSettings) -> str:
    """The name of what `choose_engine` chooses; raises as it does."""
    return choose_engine(settings).name


def as_engine_factory(found: Any, settings: StudentSettings) -> EngineFactory:
    """What was given or imported as an engine of one's own, seen to be something that makes one.

    Raises:
        ConfigError: it is no class or function, cannot be called as it will be, or is a class without an engine's
            methods.
    """
    if not callable(found):
        raise ConfigError(
            f"{KEY}: {settings.engine} is a {type(found).__name__}, which makes no engine; every student's process "
            "makes its own, so give a class or a function"
        )
    try:
        inspect.signature(found).bind(settings, threads=1, worker="", **settings.engine_kwargs)
    except TypeError as error:
        named = "".join(f", {name}=…" for name in settings.engine_kwargs)
        raise ConfigError(
            f"{KEY}: {settings.engine} cannot be called as (settings, threads=…, worker=…{named}): {error}; give it "
            "such parameters, and set student.engine_kwargs for those of its own"
        ) from None
    except ValueError:  # a builtin without a signature: calling it will tell
        pass
    if inspect.isclass(found):
        _refuse_incomplete(settings.engine, [name for name in _METHODS if not callable(getattr(found, name, None))])
    return found  # type: ignore[no-any-return]  # whatever it is, it can be called


def make_engine(
    settings: StudentSettings,
    *,
    threads: int,
    engine: EngineFactory | None = None,
    folder: Path | None = None,
    known: KnownFiles = ANY_FILES,
) -> StudentEngine:
    """Load the student and make its engine. Takes seconds, with vLLM a minute; needs no event loop.

    Args:
        settings: The student, and which engine.
        threads: CPU threads that it may use.
        engine: What makes the engine of one's own that the settings name. None: it is imported.
        folder: Where a server's log goes. None: among temporary files.
        known: The files that its weights are; others are refused.

    Raises:
        StudentChangedError: they are others.
        ConfigError: as `engine_name`; or its server does not start; or the engine of one's own cannot be imported or
            made, or is none.
        StudentError: as `load_student`.
    """
    with known.kept(settings):
        return _made(settings, threads, engine, folder, known)


def _made(
    settings: StudentSettings, threads: int, engine: EngineFactory | None, folder: Path | None, known: KnownFiles
) -> StudentEngine:
    worker = f"{gethostname()}/pid-{os.getpid()}"
    if settings.own_engine is not None:
        return _make_own(engine or import_plug(settings.own_engine, where=KEY), settings, threads, worker)
    name = engine_name(settings)
    if name == "endpoint":
        from .endpoint import EndpointEngine

        assert settings.endpoint is not None, "StudentSettings sees to it"
        return EndpointEngine(settings, settings.endpoint, settings.chat_template_kwargs)
    if name == "vllm":
        from .vllm.engine import VLLMEngine
        from .vllm.server import VLLMServer

        return VLLMEngine(settings, VLLMServer(settings, threads=threads, folder=folder, known=known), worker=worker)
    student = load_student(settings, device=settings.device, template_kwargs=settings.chat_template_kwargs)
    if name == "continuous":
        from .continuous import ContinuousEngine

        return ContinuousEngine(
            student, max_batch=settings.max_batch, limits=settings.continuous, threads=threads, worker=worker
        )
    if name == "slots":
        from .slots.engine import SlotsEngine

        return SlotsEngine(student, max_batch=settings.max_batch, limits=settings.slots, threads=threads, worker=worker)
    from .static import StaticEngine

    return StaticEngine(
        student, max_batch=settings.max_batch, wait_ms=settings.batch_wait_ms, threads=threads, worker=worker
    )


def _make_own(found: Any, settings: StudentSettings, threads: int, worker: str) -> StudentEngine:
    factory = as_engine_factory(found, settings)
    try:
        engine = factory(settings, threads=threads, worker=worker, **settings.engine_kwargs)
    except OpenmicError:
        raise
    except Exception as error:  # other people's code may raise anything
        raise ConfigError(f"{KEY}: {settings.engine} could not be made: {type(error).__name__}: {error}") from error
    _refuse_incomplete(settings.engine, [name for name in (*_METHODS, "loaded", "stats") if not hasattr(engine, name)])
    return engine


def _refuse_incomplete(name: str, missing: list[str]) -> None:
    if missing:
        raise ConfigError(f"{KEY}: what {name} makes is no engine: it has no {', '.join(missing)} (see openmic.Engine)")
