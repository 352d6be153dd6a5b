"""What an adapter swap costs while students generate: the pause on each, and that no answer is lost or mixed up.

Real students answer a steady crowd with the temperature at zero while adapters are rolled out
one after the other. Every answer is compared, token for token, with what its adapter says of its prompt when nothing
is swapped.
"""

import asyncio
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from report import arguments, percentile, report

from openmic.core.config import StudentSettings
from openmic.core.records import AdapterRef, Generation, GenerationRequest, Message, StudentSampling
from openmic.training.adapters import commit_adapter
from openmic.training.local_ray import ray_session
from openmic.training.pool import StudentPool
from openmic.training.student import load_student

TARGET_MS = 250.0
"""For the pause's 99th percentile."""
STUDENTS = 2
CALLERS = 16
PROMPTS = ("The bus was late.", "I bought an umbrella.", "Soup.", "My brother forgot our mother's birthday again.")


def random_adapter(model: str, root: Path, version: int) -> AdapterRef:
    """An adapter that says something else than the base model."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(version)
    student = load_student(model, device="cpu")
    adapted: Any = get_peft_model(
        student.model, LoraConfig(r=16, target_modules="all-linear", task_type=TaskType.CAUSAL_LM)
    )
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return commit_adapter(adapted, root, version, {"parent": 0})


def asked(name: str, prompt: str, adapter: int | None) -> GenerationRequest:
    """A request whose answer depends on its prompt and its adapter alone."""
    sampling = StudentSampling(temperature=0.0, max_tokens=16)
    return GenerationRequest(name, (Message(role="user", content=prompt),), sampling, 0, adapter)


async def measure(settings: StudentSettings, refs: list[AdapterRef]) -> tuple[list[float], int, int, int]:
    """Pauses in seconds; how many answers came, how many did not, and how many were another adapter's."""
    pool = StudentPool(settings, threads=1)
    answers: list[tuple[str, Generation]] = []
    lost = 0
    stopping = asyncio.Event()
    rng = random.Random(1)  # noqa: S311 - which prompt is next is no secret

    async def ask(caller: int) -> None:
        nonlocal lost
        number = 0
        while not stopping.is_set():
            prompt, number = rng.choice(PROMPTS), number + 1
            try:
                answers.append((prompt, await pool.generate(asked(f"{caller}-{number}", prompt, None))))
            except Exception:  # whatever it was, the answer is lost
                lost += 1

    expected: dict[tuple[int, str], tuple[int, ...]] = {}

    async def learn(version: int) -> None:
        for prompt in PROMPTS:
            one = await pool.generate(asked(f"alone-{version}-{prompt}", prompt, version))
            expected[version, prompt] = one.token_ids

    try:
        await pool.ready(STUDENTS)
        await learn(0)
        for ref in refs:
            await pool.load_adapter(ref, make_current=False)
            await learn(ref.version)
        await pool.load_adapter(AdapterRef(0, None))
        before = len(pool.stats().swap_pauses)
        asking = [asyncio.ensure_future(ask(caller)) for caller in range(CALLERS)]
        for ref in refs:
            await asyncio.sleep(1.0)
            await pool.load_adapter(ref)
        await asyncio.sleep(1.0)
        stopping.set()
        await asyncio.gather(*asking)
        pauses = list(pool.stats().swap_pauses)
    finally:
        pool.close()
    wrong = sum(one.token_ids != expected[one.adapter_version, prompt] for prompt, one in answers)
    assert len(pauses) > before
    return pauses, len(answers), lost, wrong


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a causal student: hub id or folder")
    options = parser.parse_args(arguments_)
    settings = StudentSettings.model_validate(
        {
            "model": options.model,
            "device": "cpu",
            "max_batch": 8,
            "pool": {"actors": STUDENTS, "cpus_per_actor": 1},
        }
    )
    with tempfile.TemporaryDirectory() as folder, ray_session(minimum_cpus=STUDENTS):
        # More versions than an engine holds at once, so that most swaps read files.
        refs = [random_adapter(options.model, Path(folder), n) for n in range(1, 3 if options.quick else 9)]
        pauses, answered, lost, wrong = asyncio.run(measure(settings, refs))
    p50, p99 = (percentile(pauses, share) * 1000 for share in (0.5, 0.99))
    row: dict[str, str | int | float] = {
        "pauses": len(pauses),
        "p50 ms": p50,
        "p99 ms": p99,
        "answers": answered,
        "lost": lost,
        "wrong adapter": wrong,
    }
    met = p99 <= TARGET_MS and lost == wrong == 0
    report("swap", p99, "ms", target=TARGET_MS, rows=[row], parts=row, as_json=options.json, better="less", met=met)


if __name__ == "__main__":
    main(sys.argv[1:])
