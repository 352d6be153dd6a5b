"""What `gpu.py` measures, a function for each step; each yields its figures as they come.

Lengths are new where it counts: what is made ready (graphs, plans, compiled kernels) is made ready with requests of
even lengths, and the requests that are timed have odd ones and other inputs.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import engines
import torch
import train

from openmic.core.records import GenerationRequest
from openmic.core.student_settings import SlotsSettings
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.slots.engine import SlotsEngine
from openmic.training.engines.static import StaticEngine
from openmic.training.student.student import LoadedStudent, load_student, resolve_device
from openmic.training.student.tokenization import render_prompt

ROOT = Path(__file__).parents[1]
SAMPLED: dict[str, float] = {"temperature": 1.0, "top_p": 0.95}
LONGEST = 96
RUN_S = 90.0


class Figure(NamedTuple):
    """One thing that was measured."""

    what: str
    value: float
    unit: str
    target: float | None = None
    better: str = "more"


class LeftOutError(Exception):
    """A step cannot be done here; says why."""


def crowds(options: Namespace) -> tuple[int, ...]:
    """Requests at once."""
    return (4, 6) if options.quick else (64, 256)


def requests(options: Namespace, count: int, *, timed: bool) -> list[GenerationRequest]:
    """Sampled drafts of 8 to 96 tokens: of odd lengths and the later inputs where they are timed, else of even ones."""
    draw = random.Random(count + timed)  # noqa: S311 - no secret
    longest = 12 if options.quick else LONGEST
    lengths = [2 * draw.randint(4, longest // 2 - 1) + timed for _ in range(count)]
    return engines.drafts(lengths, first=200 * timed, **SAMPLED)


def tokens(asked: Sequence[GenerationRequest]) -> int:
    """What is asked for."""
    return sum(request.sampling.max_tokens for request in asked)


def ceilings(options: Namespace) -> Iterator[Figure]:
    """What the device's memory and matrix units do at most, and what that allows the student."""
    device, size = resolve_device(options.device), 2**20 if options.quick else 2**30
    student = load_student(options.model, device=device)
    here = torch.empty(size // 4, device=device)
    there = torch.empty_like(here)
    bandwidth = 2 * size / fastest(lambda: there.copy_(here), device)
    yield Figure("memory bandwidth, copying", bandwidth / 1e9, "GB/s")
    side = 256 if options.quick else 8192
    left, right = (torch.randn(side, side, dtype=student.model.dtype, device=device) for _ in range(2))
    yield Figure("matrix products", 2 * side**3 / fastest(lambda: left @ right, device) / 1e12, "TFLOP/s")
    weights = sum(each.numel() * each.element_size() for each in student.model.parameters())
    most = crowds(options)[-1]
    yield Figure(f"tokens/s of {most} rows if reading the weights were all", most * bandwidth / weights, "tokens/s")


def fastest(work: Callable[[], Any], device: str, tries: int = 10) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(tries):
        began = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


def of_engine(options: Namespace, name: str, build: Callable[[int], StudentEngine]) -> Iterator[Figure]:
    """Useful tokens/s of an engine that is made for so many requests at once."""
    for count in crowds(options):
        timed = requests(options, count, timed=True)
        seconds = engines.engine_seconds(partial(build, count), timed, requests(options, count, timed=False))
        target = 25_000.0 if (name, count) == ("slots", crowds(options)[-1]) else None
        yield Figure(f"{name}, {count} requests at once", tokens(timed) / seconds, "useful tokens/s", target)


def of_student(options: Namespace, name: str, build: Callable[[LoadedStudent, int], StudentEngine]) -> Iterator[Figure]:
    """Useful tokens/s of an engine that runs a student in this process."""
    student = load_student(options.model, device=options.device)
    with engines.endless(student):
        yield from of_engine(options, name, partial(build, student))


def static(options: Namespace) -> Iterator[Figure]:
    """Our batches."""

    def build(student: LoadedStudent, count: int) -> StudentEngine:
        return StaticEngine(student, max_batch=count, wait_ms=30, threads=options.threads, worker="gpu")

    yield from of_student(options, "static", build)


def slots(options: Namespace) -> Iterator[Figure]:
    """Our engine for GPUs."""

    def build(student: LoadedStudent, count: int) -> StudentEngine:
        limits = SlotsSettings()
        return SlotsEngine(student, max_batch=count, limits=limits, threads=options.threads, worker="gpu")

    yield from of_student(options, "slots", build)


def vllm(options: Namespace) -> Iterator[Figure]:
    """The engine that feeds a vLLM."""
    if options.vllm is None and find_spec("vllm") is None:
        raise LeftOutError("vLLM is not installed; --vllm names an interpreter that has it")
    yield from of_engine(options, "vllm", lambda count: engines.vllm_engine(options, count))


def generate(options: Namespace) -> Iterator[Figure]:
    """What transformers' own batches do."""
    student = load_student(options.model, device=options.device)
    sampling: dict[str, Any] = {"do_sample": True, "top_k": 0, **SAMPLED}
    with engines.endless(student):
        for count in crowds(options):
            engines.plain(student, requests(options, count, timed=False), count, **sampling)
            timed = requests(options, count, timed=True)
            rate = tokens(timed) / engines.plain(student, timed, count, **sampling)
            yield Figure(f"transformers' generate, {count} requests at once", rate, "useful tokens/s")


def batching(options: Namespace) -> Iterator[Figure]:
    """What transformers' continuous batching does, as it comes."""
    student = load_student(options.model, device=options.device)
    with engines.endless(student):
        for count in crowds(options):
            seconds = batching_seconds(options, student, count)
            rate = tokens(requests(options, count, timed=True)) / seconds
            yield Figure(f"transformers' continuous batching, {count} requests at once", rate, "useful tokens/s")


def batching_seconds(options: Namespace, student: LoadedStudent, count: int) -> float:
    """Seconds from the first request to the last answer."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    pad = student.tokenizer.pad_token_id
    ends: dict[str, Any] = {"eos_token_id": -1, "pad_token_id": pad}
    # transformers leaves its constructor untyped
    generation = GenerationConfig(do_sample=True, top_k=0, **ends, **SAMPLED)  # type: ignore[no-untyped-call]
    own: dict[str, Any] = {"num_blocks": 64} if options.quick else {}
    config = ContinuousBatchingConfig(max_requests_per_batch=count, **own)
    seconds = 0.0
    with student.model.continuous_batching_context_manager(generation, continuous_batching_config=config) as manager:
        for timed in (False, True):
            asked = requests(options, count, timed=timed)
            began = time.perf_counter()
            for request in asked:
                ids = render_prompt(student, request.messages)
                manager.add_request(ids, max_new_tokens=request.sampling.max_tokens)
            for _ in asked:
                answer = manager.get_result()
                if answer is None or answer.error is not None:
                    raise RuntimeError(f"a request failed: {None if answer is None else answer.error}")
            seconds = time.perf_counter() - began
    return seconds


def training(options: Namespace) -> Iterator[Figure]:
    """DPO of ours; the same pairs, batches and precision as `trl`."""
    yield Figure("DPO, openmic", train_rate(options, "openmic"), "tokens/s", 60_000.0)


def trl(options: Namespace) -> Iterator[Figure]:
    """DPO of TRL's: fused optimizer, no activations twice, no logs, reference once."""
    if find_spec("trl") is None:
        raise LeftOutError("TRL is not installed")
    yield Figure("DPO, TRL", train_rate(options, "TRL"), "tokens/s")


def train_rate(options: Namespace, side: str) -> float:
    """Tokens of prompts and completions that one side trains on in a second, its reference's passes included."""
    from openmic.training.loop.examples import encode_examples
    from openmic.training.objectives import OBJECTIVES
    from openmic.training.student.student import student_elsewhere

    asked = of_train(options)
    student = student_elsewhere(options.model)
    examples = train.pairs_of(student.tokenizer, asked.pairs)
    items = encode_examples(student, examples, OBJECTIVES["dpo"], train.settings_of(asked))
    return sum(item.length for item in items) / train.in_child(side, asked)["seconds"]


def of_train(options: Namespace) -> Namespace:
    """What `train.py` calls its options."""
    device = resolve_device(options.device)
    precision = "float32" if device == "cpu" else "bfloat16"
    pairs, batch = (4, 2) if options.quick else (1024, 32)
    return Namespace(
        model=options.model, pairs=pairs, batch=batch, threads=options.threads, precision=precision, device=device
    )


def feedback(options: Namespace) -> Iterator[Figure]:
    """From enough feedback to the new adapter's first answer."""
    from openmic.training.local_ray import ray_session

    asked = of_train(options)
    if not options.quick:
        asked.pairs = 256
    with ray_session():
        way = asyncio.run(train.feedback_to_answer(asked))
    for name, seconds in way.items():
        part = name.removesuffix("_s").replace("_", " ")
        yield Figure(f"{asked.pairs} pairs to the new adapter's first answer, {part}", seconds, "s", better="less")


def run(options: Namespace) -> Iterator[Figure]:
    """One whole run of the example; with --quick it is only checked."""
    half = 0.0 if resolve_device(options.device) == "cpu" else 0.5
    changes = {
        "student.model": options.model,
        "student.device": options.device,
        "student.pool.gpus_per_actor": half,
        "training.gpus_per_worker": half,
    }
    with tempfile.TemporaryDirectory() as home:
        sets = [part for key, value in {**changes, "home": home}.items() for part in ("--set", f"{key}={value}")]
        trial = ["--dry-run"] if options.quick else []
        began = time.perf_counter()
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "openmic", "run", str(ROOT / "examples" / "humor.yaml"), "--json", *trial, *sets],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            check=True,
        )
        yield Figure("one run of examples/humor.yaml", time.perf_counter() - began, "s", RUN_S, "less")


STEPS: dict[str, tuple[Callable[[Namespace], Iterator[Figure]], float]] = {
    "ceilings": (ceilings, 60),
    "slots": (slots, 80),
    "generate": (generate, 60),
    "training": (training, 80),
    "run": (run, 150),
    "batching": (batching, 60),
    "trl": (trl, 80),
    "feedback": (feedback, 80),
    "static": (static, 60),
    "vllm": (vllm, 200),
}
"""Each step and the seconds that it may take, what matters most first."""


def carry_out(name: str, options: Namespace) -> Iterator[dict[str, Any]]:
    """The figures of a step as they come, or why it was left out."""
    try:
        for figure in STEPS[name][0](options):
            yield {"step": name, **figure._asdict(), "met": met(figure)}
    except LeftOutError as error:
        yield {"step": name, "left_out": str(error)}


def met(figure: Figure) -> bool | None:
    """Whether a figure reaches its target, where it has one."""
    if figure.target is None:
        return None
    return figure.value >= figure.target if figure.better == "more" else figure.value <= figure.target


def tell(row: dict[str, Any]) -> None:
    """A row as a line of JSON."""
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()
