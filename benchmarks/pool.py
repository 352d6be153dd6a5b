"""What the pool and the dialogues leave of an engine's throughput: the same requests straight into it, for comparison.

Real dialogues (driver, store, critic behind HTTP in a process of its own, the pool's one actor) are held, and what they
ask of the student is written down. Then an engine in this process, with no Ray, no store and no critic, gets the same
requests in the same dependence: as many dialogues at once, a dialogue's drafts together, each revision when what came
before it is answered. Nothing else keeps it waiting, so the critic's time counts against the dialogues. Each is
measured from the first request to the end. Beside them stand plain `generate` on batches in the order of arrival, and
one request at a time.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from made_run import made_run
from report import Cell, arguments, report

from openmic.core.concurrency import bounded
from openmic.core.config import InputSettings, RunConfig
from openmic.core.inputs import read_inputs
from openmic.core.records import AdapterRef, Example, Generation, GenerationRequest, Split
from openmic.graph.context.progress import Silent
from openmic.graph.stages.collect import collect
from openmic.training.engines.choose import engine_name, make_engine
from openmic.training.local_ray import ray_session
from openmic.training.pool.pool import StudentPool
from openmic.training.student.student import LoadedStudent, load_student
from openmic.training.student.tokenization import pad_prompts, render_prompt

TARGET = 0.95
INPUTS = Path(__file__).parent.parent / "examples" / "inputs" / "humor.jsonl"
MAX_BATCH = 16
AT_ONCE = 32
DIALOGUES = 48
CANDIDATES = 3
WARM_UP = "warm-up"

Script = list[list[GenerationRequest]]
"""What one dialogue asks: each time several requests at once, when those before are answered."""


class Recorder:
    """A pool that writes down what it is asked and how much it has in flight."""

    def __init__(self, pool: StudentPool) -> None:
        self._pool = pool
        self.asked: list[GenerationRequest] = []
        self.tokens = 0
        self._in_flight, self._since, self._batch_seconds, self._seconds = 0, 0.0, 0.0, 0.0

    async def generate(self, request: GenerationRequest) -> Generation:
        """What the pool says."""
        self.asked.append(request)
        self._count(1)
        try:
            said = await self._pool.generate(request)
        finally:
            self._count(-1)
        self.tokens += len(said.token_ids)
        return said

    async def load_adapter(self, ref: AdapterRef) -> None:
        """As the pool."""
        await self._pool.load_adapter(ref)

    def promote(self, version: int) -> None:
        """As the pool."""
        self._pool.promote(version)

    def stats(self) -> Any:
        """As the pool."""
        return self._pool.stats()

    @property
    def rows(self) -> float:
        """Requests in flight, at most a batch of them, on average over the time in which there were any."""
        return self._batch_seconds / self._seconds

    def _count(self, change: int) -> None:
        now = time.perf_counter()
        if self._in_flight:
            self._batch_seconds += min(self._in_flight, MAX_BATCH) * (now - self._since)
            self._seconds += now - self._since
        self._in_flight, self._since = self._in_flight + change, now


def settings(options: Any, home: Path) -> RunConfig:
    """A run with one actor."""
    return RunConfig.model_validate(
        {
            "home": home,
            "inputs": {"path": INPUTS},
            "student": {
                "model": options.model,
                "device": options.device,
                "engine": options.engine,
                "max_batch": MAX_BATCH,
                "sampling": {"temperature": 0.9, "top_p": 0.95, "max_tokens": 8 if options.quick else 56},
            },
            "dialogue": {"candidates": CANDIDATES, "concurrency": AT_ONCE},
            "training": {"threads": options.threads},
        }
    )


async def dialogues(config: RunConfig, examples: list[Example]) -> tuple[float, Recorder]:
    """Tokens per second of dialogues about these inputs, and what they asked."""
    async with made_run(config, examples, Silent()) as context:
        await context.pool.generate(context.student.draft(WARM_UP, "Soup.", config.student.sampling, 0))
        recorder = Recorder(context.pool)
        context.pool = cast(StudentPool, recorder)
        began = time.perf_counter()
        await collect(context, 1)
        return recorder.tokens / (time.perf_counter() - began), recorder


def scripts_of(asked: Sequence[GenerationRequest]) -> list[Script]:
    """What each dialogue asked, the dialogues in the order in which they began."""
    scripts: dict[str, Script] = {}
    for request in asked:
        dialogue, _, turn = request.id.rpartition(":")
        script = scripts.setdefault(dialogue, [[]])
        if int(turn) < CANDIDATES:
            script[0].append(request)
        else:
            script.append([request])
    return list(scripts.values())


async def directly(config: RunConfig, threads: int, scripts: Sequence[Script]) -> tuple[float, float]:
    """Tokens per second of an engine that gets what the dialogues asked, and its mean batch."""
    engine = make_engine(config.student, threads=threads)
    tokens = 0

    async def play(script: Script) -> None:
        nonlocal tokens
        for together in script:
            said = await asyncio.gather(*(engine.generate(request) for request in together))
            tokens += sum(len(each.token_ids) for each in said)

    try:
        await engine.generate(scripts[0][0][0])
        before, began = engine.stats, time.perf_counter()
        await bounded(play, scripts, AT_ONCE)
        seconds, after = time.perf_counter() - began, engine.stats
    finally:
        await engine.close()
    return tokens / seconds, (after.batched_rows - before.batched_rows) / (after.batches - before.batches)


def bare(student: LoadedStudent, requests: Sequence[GenerationRequest], size: int) -> float:
    """Tokens per second of `generate` on batches in the order of arrival, each until all its texts have ended."""
    tokens, began, end = 0, time.perf_counter(), student.tokenizer.eos_token_id
    for at in range(0, len(requests), size):
        batch = requests[at : at + size]
        ids, mask = pad_prompts(student, [render_prompt(student, request.messages) for request in batch])
        with torch.inference_mode():
            made = student.model.generate(
                input_ids=ids.to(student.device),
                attention_mask=mask.to(student.device),
                max_new_tokens=batch[0].sampling.max_tokens,
                do_sample=True,
                temperature=batch[0].sampling.temperature,
                top_p=batch[0].sampling.top_p,
                top_k=0,
                eos_token_id=end,
                pad_token_id=student.tokenizer.pad_token_id,
            )
        texts = made[:, ids.shape[1] :].tolist()
        tokens += sum(text.index(end) + 1 if end in text else len(text) for text in texts)
    return tokens / (time.perf_counter() - began)


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a causal student: hub id or folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, …")
    parser.add_argument("--engine", default="auto", help="as student.engine")
    # The driver, the store and the critic want a core as well, and would take it from the engine.
    threads = max(1, (os.cpu_count() or 1) - 1)
    parser.add_argument("--threads", type=int, default=threads, help="of the engine, either way")
    options = parser.parse_args(arguments_)
    torch.set_num_threads(options.threads)
    inputs = [example for example in read_inputs(InputSettings(path=INPUTS)).examples if example.split is Split.TRAIN]
    examples = inputs[: 4 if options.quick else DIALOGUES]
    with tempfile.TemporaryDirectory() as folder:
        config = settings(options, Path(folder))
        with ray_session():
            through, recorder = asyncio.run(dialogues(config, examples))
    scripts = scripts_of(recorder.asked)
    direct, batch = asyncio.run(directly(config, options.threads, scripts))
    student = load_student(options.model, device=options.device)
    some = recorder.asked[: MAX_BATCH * (1 if options.quick else 4)]
    in_batches, alone = bare(student, some, MAX_BATCH), bare(student, some[: 4 if options.quick else 12], 1)
    rows: list[dict[str, Cell]] = [
        {"requests go": "through pool and dialogues", "tokens/s": through, "of direct": through / direct},
        {"requests go": "straight into the engine", "tokens/s": direct, "of direct": 1.0},
        {
            "requests go": f"to generate, {MAX_BATCH} at a time",
            "tokens/s": in_batches,
            "of direct": in_batches / direct,
        },
        {"requests go": "to generate, one at a time", "tokens/s": alone, "of direct": alone / direct},
    ]
    parts = {
        "model": options.model,
        "engine": engine_name(config.student),
        "threads": options.threads,
        "dialogues": len(scripts),
        "requests": len(recorder.asked),
        "tokens": recorder.tokens,
        "mean_batch": batch,
        "mean_in_flight_up_to_a_batch": recorder.rows,
        "tokens_per_second": {"pool": through, "direct": direct, "generate": in_batches, "one_at_a_time": alone},
    }
    value, full = through / direct, batch >= 8 or options.quick
    sys.stdout.write(f"mean batch of the engine: {batch:.1f}; in the pool at most {recorder.rows:.1f} in flight\n")
    met = value >= TARGET and full
    report("pool", value, "of direct", target=TARGET, rows=rows, parts=parts, as_json=options.json, met=met)


if __name__ == "__main__":
    main(sys.argv[1:])
