"""How fast openmic's DPO trains beside TRL's, in how much memory, and how soon feedback becomes a new adapter.

Both train the same LoRA on the same model from the same pairs of the task's own prompts and completions of 8 to 48
tokens, in the same batches, with the same number of threads, in the precision that a trial finds TRL to be faster in on
this machine. The reference's log-probabilities are computed once, before the first step, and count on both sides. TRL
does not compute activations twice, as it would by default; it saves, evaluates and logs nothing. Its reading of the
data set does not count; ours does.

Each measurement is a process of its own, so that its peak memory is its own; the two sides take turns. Then a trainer
and a student, as a run has them, show what passes between enough feedback and the first answer of the new adapter.
"""

import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from report import arguments, report

from openmic.agents.cast import StudentAgent
from openmic.agents.tasks.task import load_task
from openmic.core.records import NO_ADAPTER, StudentSampling, TrainingExample
from openmic.core.student_settings import StudentSettings, StudentWeights
from openmic.core.training_settings import FineTuneSettings, LoRASettings, TrainingSettings

TARGET = 1.0
PAIRS, BATCH, ROUNDS = 16, 8, 3
LENGTHS = (8, 48)
"""Tokens of a completion, the end of the sequence included."""
BETA = 0.1
LORA = LoRASettings(r=8, alpha=16)
PRECISIONS = ("float32", "bfloat16")
ROOT = Path(__file__).parents[1]


def settings_of(options: Any) -> FineTuneSettings:
    """The plain DPO of both sides."""
    return FineTuneSettings(
        epochs=1.0,
        batch_size=options.batch,
        learning_rate=1e-4,
        beta=BETA,
        max_length=4096,
        nll_weight=0.0,
        precision=options.precision,
    )


def agent() -> StudentAgent:
    """Asks the student as a run does."""
    return StudentAgent(load_task("humor"), 0)


def pairs_of(tokenizer: Any, count: int) -> list[TrainingExample]:
    """So many pairs, the same ones every time: a prompt of the task and two texts of random words."""
    lines = (ROOT / "examples" / "inputs" / "humor.jsonl").read_text(encoding="utf-8").splitlines()
    inputs = [json.loads(line)["input"] for line in lines]
    words = sorted({word for text in inputs for word in text.split()})
    rng = random.Random(1)  # noqa: S311 - a choice of words, no secret
    asking = agent()

    def text() -> str:
        wanted, said = rng.randint(*LENGTHS) - 1, rng.choice(words)
        while True:
            longer = f"{said} {rng.choice(words)}"
            if len(tokenizer(longer, add_special_tokens=False)["input_ids"]) > wanted:
                return str(said)
            said = longer

    prompts = [*rng.sample(inputs, len(inputs)) * (count // len(inputs)), *rng.sample(inputs, count % len(inputs))]
    return [TrainingExample(f"p{i}", asking.prompt(prompt), (text(), text())) for i, prompt in enumerate(prompts)]


def prepared(options: Any) -> tuple[Any, Any, list[TrainingExample]]:
    """The student, a PEFT model around it that has already taken a step's memory, and the pairs."""
    import torch

    from openmic.training.adapters.lora import adapted
    from openmic.training.student.student import load_student

    torch.set_num_threads(options.threads)
    student = load_student(options.model, device=options.device)
    model = adapted(student, LORA, seed=1)
    ids = torch.arange(64, device=student.device).unsqueeze(0)
    model(input_ids=ids, labels=ids).loss.backward()
    model.zero_grad(set_to_none=True)
    return student, model, pairs_of(student.tokenizer, options.pairs)


def measure_ours(options: Any) -> float:
    """Seconds from the examples to the trained adapter."""
    from openmic.training.loop.fine_tune import fine_tune

    student, model, examples = prepared(options)
    began = time.perf_counter()
    fine_tune(student, model, examples, objective="dpo", settings=settings_of(options), seed=1)
    return time.perf_counter() - began


def measure_trl(options: Any) -> float:
    """Seconds of the reference's log-probabilities and of the training; reading the data set does not count."""
    import datasets
    from trl import DPOConfig, DPOTrainer

    from openmic.training.loop.examples import encode_examples
    from openmic.training.objectives import OBJECTIVES
    from openmic.training.student.device import on_gpu

    datasets.disable_progress_bars()
    student, model, examples = prepared(options)
    settings = settings_of(options)
    seconds = 0.0

    class Timed(DPOTrainer):  # type: ignore[misc]  # TRL leaves it untyped
        def _precompute_ref_logps(self, *values: Any) -> Any:
            nonlocal seconds
            began = time.perf_counter()
            found = super()._precompute_ref_logps(*values)
            seconds += time.perf_counter() - began
            return found

    rows = [
        {
            "prompt": student.tokenizer.apply_chat_template(
                [message.model_dump() for message in example.messages], tokenize=False, add_generation_prompt=True
            ),
            "chosen": example.completions[0],
            "rejected": example.completions[1],
        }
        for example in examples
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Timed(
            model,
            args=DPOConfig(
                output_dir=folder,
                use_cpu=not on_gpu(student.device),
                optim="adamw_torch_fused" if on_gpu(student.device) else "adamw_torch",
                bf16=options.precision == "bfloat16",
                gradient_checkpointing=False,
                precompute_ref_log_probs=True,
                precompute_ref_batch_size=options.batch,
                per_device_train_batch_size=options.batch,
                num_train_epochs=1,
                learning_rate=settings.learning_rate,
                beta=BETA,
                max_length=None,
                weight_decay=0.0,
                dataloader_pin_memory=on_gpu(student.device),
                dataloader_num_workers=2 if on_gpu(student.device) else 0,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=student.tokenizer,
        )
        items = encode_examples(student, examples, OBJECTIVES["dpo"], settings)
        for item, row in zip(items, trainer.train_dataset, strict=True):
            texts = [row["prompt_ids"], row["chosen_ids"], row["rejected_ids"]]
            assert texts == [list(item.prompt), *(list(one.text.completion) for one in item.rows)]
        began = time.perf_counter()
        trainer.train()
        return seconds + time.perf_counter() - began


SIDES = {"openmic": measure_ours, "TRL": measure_trl}


def in_child(side: str, options: Any, **changes: Any) -> dict[str, float]:
    """One measurement in a process of its own: `seconds`, and `peak_mb` of its memory."""
    names = ("model", "pairs", "batch", "threads", "precision", "device")
    numbers = [f"--{name}={changes.get(name, getattr(options, name))}" for name in names]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.threads),
        "TQDM_DISABLE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    # `datasets` keeps what it computed, and would find it again.
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(  # noqa: S603 - this very script
            [sys.executable, __file__, f"--side={side}", *numbers],
            env=environment | {"HF_DATASETS_CACHE": cache},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


async def feedback_to_answer(options: Any) -> dict[str, float]:
    """Seconds of each part of the way from the examples of a training to the first answer of the adapter it makes."""
    from openmic.training.loop.job import TrainingJob, TrainingPhase
    from openmic.training.pool.pool import StudentPool
    from openmic.training.student.student import load_tokenizer
    from openmic.training.trainer.trainer import Trainer

    examples = pairs_of(load_tokenizer(options.model), options.pairs)
    half = 0.0 if options.device == "cpu" else 0.5
    values = {"model": options.model, "device": options.device, "pool": {"gpus_per_actor": half}}
    pool = StudentPool(StudentSettings.model_validate(values), threads=options.threads)
    trainer = Trainer(TrainingSettings(threads=options.threads, gpus_per_worker=half))
    sampling = StudentSampling(max_tokens=1)
    try:
        await pool.ready()
        await pool.generate(agent().draft("before", "Soup.", sampling, 0))
        with tempfile.TemporaryDirectory() as folder:
            job = TrainingJob(
                student=StudentWeights(model=options.model),
                device=options.device,
                phases=(TrainingPhase("dpo", tuple(examples)),),
                settings=settings_of(options),
                lora=LORA,
                seed=1,
                parent=NO_ADAPTER,
                adapters=folder,
                version=1,
            )
            times = [time.perf_counter()]
            ref, metrics = await trainer.train(job)
            times.append(time.perf_counter())
            await pool.load_adapter(ref)
            times.append(time.perf_counter())
            answer = await pool.generate(agent().draft("after", "Soup.", sampling, ref.version))
            times.append(time.perf_counter())
            assert answer.adapter_version == 1
    finally:
        trainer.close()
        pool.close()
    trained, loaded, answered = (after - before for before, after in pairwise(times))
    return {
        "fine_tuning_s": metrics.seconds,
        "around_it_s": trained - metrics.seconds,
        "adapter_in_the_pool_s": loaded,
        "first_answer_s": answered,
        "total_s": times[-1] - times[0],
    }


def main(arguments_: list[str] | None = None) -> None:
    """Measure and print."""
    parser = arguments((__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a causal student: hub id or folder")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda; the whole script measures on cpu alone")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--batch", type=int, default=BATCH, help="pairs per optimizer step")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--precision", choices=PRECISIONS, help="of both sides; by default TRL's faster one")
    parser.add_argument("--side", choices=tuple(SIDES), help="measure one side, once, in this process")
    options = parser.parse_args(arguments_)
    if options.side:
        taken = SIDES[options.side](options)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(json.dumps({"seconds": taken, "peak_mb": peak}) + "\n")
        return
    from openmic.training.local_ray import ray_session

    if options.quick:
        options.pairs, options.batch, options.precision = 4, 2, "float32"
    trial: dict[str, dict[str, float]] = {}
    if options.precision is None:
        tried = {
            one: {side: in_child(side, options, pairs=options.batch, precision=one) for side in SIDES}
            for one in PRECISIONS
        }
        trial = {side: {one: tried[one][side]["seconds"] for one in PRECISIONS} for side in SIDES}
        options.precision = min(trial["TRL"], key=lambda one: trial["TRL"][one])
    found = [{side: in_child(side, options) for side in SIDES} for _ in range(1 if options.quick else ROUNDS)]
    with ray_session():
        way = asyncio.run(feedback_to_answer(options))
    seconds = {side: [measured[side]["seconds"] for measured in found] for side in SIDES}
    rates = {side: options.pairs / median(times) for side, times in seconds.items()}
    peaks = {side: median(measured[side]["peak_mb"] for measured in found) for side in SIDES}
    rows = [{"trainer": side, "pairs/s": rates[side], "peak memory, MB": peaks[side]} for side in SIDES]
    parts = {
        "pairs": options.pairs,
        "batch_size": options.batch,
        "threads": options.threads,
        "precision": options.precision,
        "seconds_of_a_step_by_precision": trial,
        "seconds": seconds,
        "peak_memory_mb": peaks,
        "peak_memory_ratio": peaks["openmic"] / peaks["TRL"],
        "feedback_to_answer": way,
    }
    ratio = rates["openmic"] / rates["TRL"]
    report("train", ratio, "x TRL's pairs/s", target=TARGET, rows=rows, parts=parts, as_json=options.json)
    told = ", ".join(f"{name.removesuffix('_s').replace('_', ' ')} {value:.2f}" for name, value in way.items())
    sys.stderr.write(f"seconds from {options.pairs} pairs to the new adapter's first answer: {told}\n")
    if trial:
        times = trial["openmic"]["float32"] / trial["openmic"]["bfloat16"]
        sys.stderr.write(f"a step of openmic's in bfloat16 is {times:.2f} times as fast as in float32 here\n")


if __name__ == "__main__":
    main(sys.argv[1:])
