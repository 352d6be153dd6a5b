"""Continuous batching against static batches as they are in transformers today, with outputs of mixed lengths.

Every engine answers the same requests with the temperature at zero: what openmic asks its student, several candidates
for an input, each to be 8 to 96 tokens long, none of which ends by itself. All arrive at once. The static batches are
plain calls of `generate`, padded on the left, in the order of arrival, each of which goes on until its longest text is
done. Useful tokens are those that were asked for.

The roofline is what the student's matrix products alone would allow: all its linear layers, one after the other, on as
many rows as a full batch has. It counts 2 operations for each of their weights and each useful token; reading prompts,
attention and choosing tokens are work it does not know of.
"""

import asyncio
import os
import random
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from report import Cell, arguments, report
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from openmic.agents.cast import StudentAgent
from openmic.agents.tasks.task import load_task
from openmic.core.config import InputSettings
from openmic.core.inputs import read_inputs
from openmic.core.records import GenerationRequest, StudentSampling
from openmic.core.student_settings import ContinuousSettings, StudentSettings
from openmic.training.engines.continuous import ContinuousEngine
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.static import StaticEngine
from openmic.training.engines.vllm.engine import VLLMEngine
from openmic.training.engines.vllm.server import VLLMServer
from openmic.training.student.student import LoadedStudent, load_student, resolve_device
from openmic.training.student.tokenization import pad_prompts, render_prompt

TARGET = 1.6
INPUTS = Path(__file__).parent.parent / "examples" / "inputs" / "humor.jsonl"
CANDIDATES = 3
MAX_BATCH = 16
SHORTEST, LONGEST = 8, 96
ROUNDS = 2
"""Times everything is measured; engines take turns, so that a slow minute of the machine hits them all."""
REQUESTS = 96
PLAIN, CONTINUOUS, OURS, VLLM, ROOFLINE = "transformers' static", "continuous", "static", "vllm", "roofline"


def requests_of(options: Namespace) -> list[GenerationRequest]:
    """Drafts for the example's inputs, of lengths drawn evenly."""
    count, longest = (6, 12) if options.quick else (REQUESTS, LONGEST)
    draw = random.Random(1)  # noqa: S311 - no secret
    return drafts([draw.randint(SHORTEST, longest) for _ in range(count)])


def drafts(lengths: Sequence[int], *, first: int = 0, **sampling: float) -> list[GenerationRequest]:
    """A draft of each length in tokens, some for each input from the `first` on; greedy unless `sampling` says more."""
    agent = StudentAgent(load_task("humor"), 7)
    texts = [example.text for example in read_inputs(InputSettings(path=INPUTS)).examples]
    samplings = [
        StudentSampling.model_validate({"temperature": 0.0, **sampling, "max_tokens": each}) for each in lengths
    ]
    return [
        agent.draft(f"r{first}-{i}", texts[(first + i // CANDIDATES) % len(texts)], each, 0)
        for i, each in enumerate(samplings)
    ]


@contextmanager
def endless(student: LoadedStudent) -> Iterator[None]:
    """No text ends by itself: the end is never likely."""

    def forbid(_: object, __: object, logits: Tensor) -> None:
        logits[..., student.tokenizer.eos_token_id] = float("-inf")

    handle = student.model.get_output_embeddings().register_forward_hook(forbid)
    try:
        yield
    finally:
        handle.remove()


class EndlessVLLM(VLLMEngine):
    """As `endless`, over there."""

    async def _ask(self, *asked: Any) -> Any:
        self.extra = {**self.extra, "logit_bias": {str(self._student.tokenizer.eos_token_id): -100.0}}
        return await super()._ask(*asked)


def vllm_engine(options: Namespace, max_batch: int = MAX_BATCH) -> StudentEngine:
    """A server of the interpreter that `--vllm` names, which runs once this returns."""
    vllm = {"python": options.vllm, "gpu_memory_utilization": 0.3}
    values = {"model": options.model, "device": options.device, "max_batch": max_batch, "engine": "vllm", "vllm": vllm}
    settings = StudentSettings.model_validate(values)
    return EndlessVLLM(settings, VLLMServer(settings, threads=options.threads), worker="benchmark")


def plain(
    student: LoadedStudent, requests: Sequence[GenerationRequest], max_batch: int = MAX_BATCH, **sampling: Any
) -> float:
    """Seconds that `generate` takes, one batch after the other; greedy unless `sampling` says more."""
    began = time.perf_counter()
    for at in range(0, len(requests), max_batch):
        batch = requests[at : at + max_batch]
        ids, mask = pad_prompts(student, [render_prompt(student, request.messages) for request in batch])
        wanted = max(request.sampling.max_tokens for request in batch)
        with torch.inference_mode():
            made = student.model.generate(
                input_ids=ids.to(student.device),
                attention_mask=mask.to(student.device),
                max_new_tokens=wanted,
                **{"do_sample": False, **sampling},
                eos_token_id=student.tokenizer.eos_token_id,
                pad_token_id=student.tokenizer.pad_token_id,
            )
        assert made.shape[1] == ids.shape[1] + wanted
    return time.perf_counter() - began


def engine_seconds(
    build: Callable[[], StudentEngine],
    requests: Sequence[GenerationRequest],
    before: Sequence[GenerationRequest] | None = None,
) -> float:
    """Seconds from the first request to the last answer; the engine has answered those `before`, or one, by then."""

    async def run() -> float:
        engine = build()
        try:
            await asyncio.gather(*(engine.generate(request) for request in before or requests[:1]))
            began = time.perf_counter()
            answers = await asyncio.gather(*(engine.generate(request) for request in requests))
            seconds = time.perf_counter() - began
        finally:
            await engine.close()
        lengths = [len(answer.token_ids) for answer in answers]
        assert lengths == [request.sampling.max_tokens for request in requests], "no text may end by itself"
        return seconds

    return asyncio.run(run())


def roofline(student: LoadedStudent, seconds: float) -> tuple[float, int]:
    """Operations per second of the linear layers on a full batch, at their fastest, and how many each token takes."""
    layers: list[Any] = [module for module in student.model.modules() if isinstance(module, nn.Linear | Conv1D)]
    outputs = student.model.get_output_embeddings()
    layers += [] if any(layer is outputs for layer in layers) else [outputs]
    widths = [layer.weight.shape[0 if isinstance(layer, Conv1D) else 1] for layer in layers]
    inputs = {w: torch.randn(MAX_BATCH, w, dtype=student.model.dtype, device=student.device) for w in widths}

    def once() -> None:
        for layer, width in zip(layers, widths, strict=True):
            layer(inputs[width])
        if student.device.startswith("cuda"):
            torch.cuda.synchronize()

    with torch.inference_mode():
        once()
        times: list[float] = []
        while sum(times) < seconds:
            began = time.perf_counter()
            once()
            times.append(time.perf_counter() - began)
    per_token = 2 * sum(layer.weight.numel() for layer in layers)
    return per_token * MAX_BATCH / min(times), per_token


def measure(what: str, options: Namespace) -> float | tuple[float, int]:
    """Seconds of one engine, by its name, or the roofline. In a process of its own: threads of one slow another's."""
    torch.set_num_threads(options.threads)
    if what == VLLM:
        return engine_seconds(lambda: vllm_engine(options), requests_of(options))
    student = load_student(options.model, device=options.device)
    if what == ROOFLINE:
        return roofline(student, 0.2 if options.quick else 5.0)
    requests = requests_of(options)

    def build() -> StudentEngine:
        if what == CONTINUOUS:
            return ContinuousEngine(student, max_batch=MAX_BATCH, limits=ContinuousSettings(), threads=options.threads)
        return StaticEngine(student, max_batch=MAX_BATCH, wait_ms=30, threads=options.threads)

    with endless(student):
        if what == PLAIN:
            plain(student, requests[:1])  # what is made ready at the first call
            return plain(student, requests)
        return engine_seconds(build, requests)


def apart(what: str, options: Namespace) -> Any:
    """What `measure` says, in a process that ends with it; in a trial of the script that is not worth the start."""
    if options.quick:
        return measure(what, options)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, what, options).result()


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a causal student: hub id or folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, …")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of each engine")
    parser.add_argument("--vllm", help="an interpreter that has vLLM, to measure the engine vllm too")
    options = parser.parse_args(arguments_)
    requests, rounds = requests_of(options), 1 if options.quick else ROUNDS
    seconds = dict.fromkeys((PLAIN, CONTINUOUS, OURS, *([VLLM] if options.vllm else [])), 0.0)
    possible, per_token = 0.0, 0
    for _ in range(rounds):
        for name in seconds:
            seconds[name] += apart(name, options)
        measured, per_token = apart(ROOFLINE, options)
        possible = max(possible, measured)
    useful = rounds * sum(request.sampling.max_tokens for request in requests)
    rates = {name: useful / took for name, took in seconds.items()}
    base = rates[PLAIN]
    rows: list[dict[str, Cell]] = [
        {
            "engine": name,
            "tokens/s": rate,
            "times static": rate / base,
            "GFLOP/s": rate * per_token / 1e9,
            "of roofline": rate * per_token / possible,
        }
        for name, rate in rates.items()
    ]
    parts = {
        "model": options.model,
        "device": resolve_device(options.device),
        "threads": options.threads,
        "max_batch": MAX_BATCH,
        "requests": rounds * len(requests),
        "useful_tokens": useful,
        "seconds": seconds,
        "tokens_per_second": rates,
        "roofline_gflops": possible / 1e9,
        "gflop_per_token": per_token / 1e9,
        "share_of_roofline": {name: rate * per_token / possible for name, rate in rates.items()},
    }
    value = rates[CONTINUOUS] / base
    report("engines", value, "x static", target=TARGET, rows=rows, parts=parts, as_json=options.json)


if __name__ == "__main__":
    main(sys.argv[1:])
