"""What an adapter swap costs while students generate: the pause on each, and that no answer is lost or mixed up.

Real students answer a steady crowd at temperature zero while adapters are loaded one after the other, each of them one
that nobody holds, which is read from storage. A student's pause is all the time that one load kept it from generating.
Every answer is compared, token for token, with what its adapter said of its prompt alone. Loading before the crowd
comes, and verifying files, which goes on beside generation, are not counted.
"""

import asyncio
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from report import arguments, percentile, report

from openmic.core.records import NO_ADAPTER, AdapterRef, Generation, GenerationRequest, Message, StudentSampling
from openmic.core.student_settings import StudentSettings
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.local_ray import ray_session
from openmic.training.pool.pool import StudentPool
from openmic.training.student.student import load_student

TARGET_MS = 250.0
"""For the 99th percentile of both kinds of pause."""
STUDENTS = 2
CALLERS = 8
ROUNDS = 10
"""Roll-outs of each kind, and versions: many more than an engine holds at once."""
PROMPTS = ("The bus was late.", "I bought an umbrella.", "Soup.", "My brother forgot our mother's birthday again.")
Answers = dict[tuple[int, str], tuple[int, ...]]
"""Token ids by adapter version and prompt."""


def random_adapters(model: str, root: Path, count: int) -> list[AdapterRef]:
    """Adapters that each say something else than the base model and one another."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    student = load_student(model, device="cpu")
    config = LoraConfig(r=16, target_modules="all-linear", task_type=TaskType.CAUSAL_LM)
    adapted: Any = get_peft_model(student.model, config)
    refs = []
    for version in range(1, count + 1):
        torch.manual_seed(version)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.05)
        refs.append(commit_adapter(adapted, root, version, {"parent": 0}))
    return refs


def asked(name: str, prompt: str, adapter: int) -> GenerationRequest:
    """A request whose answer depends on its prompt and its adapter alone."""
    sampling = StudentSampling(temperature=0.0, max_tokens=12)
    return GenerationRequest(name, (Message(role="user", content=prompt),), sampling, 0, adapter)


async def said_alone(pool: StudentPool, refs: list[AdapterRef]) -> Answers:
    """What every adapter says of every prompt when nothing else is asked and nothing is swapped."""
    said: Answers = {}
    for ref in (NO_ADAPTER, *refs):
        await pool.load_adapter(ref)
        for prompt in PROMPTS:
            answer = await pool.generate(asked(f"alone-{ref.version}-{prompt}", prompt, ref.version))
            said[ref.version, prompt] = answer.token_ids
    return said


class Crowd:
    """Callers that ask one thing after the other for as long as they are there."""

    def __init__(self, pool: StudentPool, version: int) -> None:
        self.version = version
        """What they ask for."""
        self.answers: list[tuple[str, Generation]] = []
        self.lost = 0
        self._pool = pool
        self._leaving = False
        self._awaited = 0
        self._heard = asyncio.Event()
        self._asking = [asyncio.ensure_future(self._ask(caller)) for caller in range(CALLERS)]

    async def heard(self, answers: int) -> None:
        """Wait until so many more answers came."""
        self._awaited = len(self.answers) + self.lost + answers
        self._heard.clear()
        await self._heard.wait()

    async def leave(self) -> None:
        """Wait for what was asked."""
        self._leaving = True
        await asyncio.gather(*self._asking)

    async def _ask(self, caller: int) -> None:
        prompts = itertools.cycle(PROMPTS[caller % len(PROMPTS) :] + PROMPTS[: caller % len(PROMPTS)])
        for number, prompt in enumerate(prompts):
            if self._leaving:
                return
            try:
                request = asked(f"{caller}-{number}", prompt, self.version)
                self.answers.append((prompt, await self._pool.generate(request)))
            except Exception:  # whatever it was, the answer is lost
                self.lost += 1
            if len(self.answers) + self.lost >= self._awaited:
                self._heard.set()


def standing(pool: StudentPool) -> list[float]:
    """How long, in ms, each student has stood still for adapters so far."""
    return [1000 * sum(pauses) for pauses in pool.stats().swap_pauses]


async def measure(settings: StudentSettings, refs: list[AdapterRef]) -> dict[str, Any]:
    """Pauses in ms and seconds per load; how many answers came, were lost, and were another adapter's."""
    pool = StudentPool(settings, threads=1)
    pauses: list[float] = []
    loads: list[float] = []
    try:
        await pool.ready(STUDENTS)
        expected = await said_alone(pool, refs)
        crowd = Crowd(pool, refs[-1].version)
        for ref in refs:
            # By then most that were asked before the last one came are answered, and its adapter may be dropped.
            await crowd.heard(CALLERS)
            before, began = standing(pool), time.monotonic()
            await pool.load_adapter(ref)
            crowd.version = ref.version
            loads.append(time.monotonic() - began)
            pauses += [late - early for early, late in zip(before, standing(pool), strict=True)]
        await crowd.leave()
    finally:
        pool.close()
    assert all(pauses), "an adapter that was to be read from storage was still loaded"
    mixed_up = [mix_up(prompt, one, expected) for prompt, one in crowd.answers]
    wrong = [found for found in mixed_up if found is not None]
    versions = len({one.adapter_version for _, one in crowd.answers})
    counts = {"answers": len(crowd.answers), "versions": versions, "lost": crowd.lost, "wrong adapter": len(wrong)}
    return {"pauses": pauses, "loads": loads, **counts, "mix-ups": wrong}


def mix_up(prompt: str, answer: Generation, expected: Answers) -> dict[str, Any] | None:
    """What there is to know of an answer that is not its adapter's; None for one that is."""
    said = answer.token_ids
    if said == expected[answer.adapter_version, prompt]:
        return None
    return {
        "request": answer.request_id,
        "student": answer.worker,
        "prompt": prompt,
        "version": answer.adapter_version,
        "versions that say so": [
            version for (version, of), alone in expected.items() if of == prompt and alone == said
        ],
        "said": said,
        "expected": expected[answer.adapter_version, prompt],
    }


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a causal student: hub id or folder")
    parser.add_argument("--engine", default="auto", choices=["auto", "static", "continuous"], help="default: auto")
    options = parser.parse_args(arguments_)
    settings = StudentSettings.model_validate(
        {
            "model": options.model,
            "engine": options.engine,
            "device": "cpu",
            "max_batch": 4,
            "pool": {"actors": STUDENTS, "cpus_per_actor": 1},
        }
    )
    with tempfile.TemporaryDirectory() as folder, ray_session(minimum_cpus=STUDENTS):
        refs = random_adapters(options.model, Path(folder), 5 if options.quick else ROUNDS)
        found = asyncio.run(measure(settings, refs))
    rows: list[dict[str, str | int | float]] = [
        {
            "pauses": len(found["pauses"]),
            "p50 ms": percentile(found["pauses"], 0.5),
            "p99 ms": percentile(found["pauses"], 0.99),
            "load s": percentile(found["loads"], 0.5),
            "answers": found["answers"],
            "lost": found["lost"],
            "wrong adapter": found["wrong adapter"],
        }
    ]
    worst = max(float(row["p99 ms"]) for row in rows)
    met = worst <= TARGET_MS and found["lost"] == found["wrong adapter"] == 0
    report("swap", worst, "ms", target=TARGET_MS, rows=rows, parts=found, as_json=options.json, better="less", met=met)


if __name__ == "__main__":
    main(sys.argv[1:])
