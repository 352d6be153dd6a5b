"""Which engine a student gets, and making it."""

import os
from socket import gethostname
from typing import Literal

from ...core.config import StudentSettings
from ..student.student import inspect_student, load_student, resolve_device
from .engine import StudentEngine, refuse_seq2seq

EngineName = Literal["static", "continuous", "endpoint"]

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
"""Architectures with which a test has seen `continuous` say, token for token, what `static` says."""


def engine_name(settings: StudentSettings) -> EngineName:
    """The engine that the settings name, or that `auto` picks for the kind of student and its device.

    `auto` is `continuous` on a CPU, where it was measured to be the fastest, for architectures that a test has seen it
    right with, and without beam search; else `static`. Nobody has measured either on a GPU.

    Raises:
        ConfigError: the engine that is named cannot generate with this student.
        StudentError: there is no such student.
    """
    if settings.engine == "continuous":
        refuse_seq2seq(settings.model, inspect_student(settings.model).kind)
    if settings.engine != "auto":
        return settings.engine
    on_cpu = resolve_device(settings.device) == "cpu"
    if on_cpu and settings.sampling.num_beams == 1 and inspect_student(settings.model).architecture in SEEN_RIGHT:
        return "continuous"
    return "static"


def make_engine(settings: StudentSettings, *, threads: int) -> StudentEngine:
    """Load the student and make its engine. Takes seconds; needs no event loop.

    Raises:
        ConfigError: as `engine_name`.
        StudentError: as `load_student`.
    """
    name, worker = engine_name(settings), f"{gethostname()}/pid-{os.getpid()}"
    if name == "endpoint":
        from .endpoint import EndpointEngine

        assert settings.endpoint is not None, "StudentSettings sees to it"
        return EndpointEngine(settings.model, settings.endpoint)
    student = load_student(settings.model, device=settings.device)
    if name == "continuous":
        from .continuous import ContinuousEngine

        return ContinuousEngine(
            student, max_batch=settings.max_batch, limits=settings.continuous, threads=threads, worker=worker
        )
    from .static import StaticEngine

    return StaticEngine(
        student, max_batch=settings.max_batch, wait_ms=settings.batch_wait_ms, threads=threads, worker=worker
    )
