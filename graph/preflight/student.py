"""Whether the student can do its part: it opens, an adapter fits around it, its texts have room."""

import os
from collections.abc import Sequence

from ...agents.cast import StudentAgent
from ...agents.tasks.task import Task
from ...core.config import RunConfig
from ...core.errors import ConfigError
from ...core.records import Example
from ...core.student_settings import StudentSettings
from ...training.adapters.storage import folder_of, is_remote, there
from ...training.adapters.trial import try_student
from ...training.engines.choose import Choice, choose_engine, engine_name
from ...training.engines.vllm.installed import installed_vllm
from ...training.student.packaged_weights import cache_folder
from ...training.student.student import LoadedStudent
from ...training.student.tokenization import render_prompt

FITTING_IN_A_ROW = 16
"""Prompts are looked at from the longest; after so many that fit the shorter ones are taken to fit too."""


def check_student_endpoint(config: RunConfig) -> None:
    """Try the server that holds the student, with an adapter where the run's will be kept.

    Raises:
        ConfigError: as `try_student_endpoint`.
        StudentError: as `try_student`.
    """
    from ...training.engines.endpoint_trial import try_student_endpoint

    # What remote storage holds is loaded from the cache.
    storage = config.storage_uri or str(config.home / "runs")
    folder = cache_folder() if is_remote(storage) else folder_of(storage)
    with there(folder.absolute()):
        try_student_endpoint(config.student, config.training.lora, folder.absolute())


def check_student_vllm(config: RunConfig, *, here: bool, ask: bool) -> list[str]:
    """Try the vLLM server that the students' processes will start, where the engine is that.

    Args:
        config: The configuration.
        here: Whether they run on this machine.
        ask: Whether one is started; else it is only seen to be installed.

    Returns:
        What to know of it, a line each.

    Raises:
        ConfigError: as `try_vllm`.
        StudentError: as `try_student`.
    """
    if config.student.own_engine is not None or engine_name(config.student) != "vllm":
        return []
    if not here:
        return ["whether vLLM starts is not tried here, as the students run on a cluster"]
    installed_vllm(config.student.vllm)
    if ask:
        from ...training.engines.vllm.trial import try_vllm

        try_vllm(config.student, config.training.lora, config.training.threads or os.cpu_count() or 1)
    return []


def check_student(config: RunConfig, task: Task, examples: Sequence[Example]) -> list[str]:
    """Try the student, and measure its prompts.

    Returns:
        What to know of inputs that are too long for it, a line each.

    Raises:
        StudentError: as `try_student`.
        ConfigError: as `try_student`, or no input leaves room for an output.
    """
    engine, note = Choice("") if config.student.own_engine else choose_engine(config.student)
    student = try_student(config.student, config.training.lora, adapts_output=engine != "continuous")
    agent = StudentAgent(task, config.seed)
    texts = sorted(examples, key=lambda example: len(example.text.encode()))
    lengths = _Lengths(student, agent)
    limits = {"max_position_embeddings of its config.json": _positions(student)}
    if engine == "continuous":
        limits["student.continuous.cache_tokens"] = config.student.continuous.cache_tokens
    if engine == "slots":
        limits["student.slots.max_length"] = config.student.slots.max_length
    notes = [note] if note else []
    notes += _server_has_its_own(config.student)
    for key in ("student.sampling", "evaluation.sampling"):
        section = config.student if key.startswith("student") else config.evaluation
        output = section.sampling.max_tokens or 1
        said = f"{key}.max_tokens={output}" if section.sampling.max_tokens else "an output"
        for what, limit in limits.items():
            if limit is not None:
                notes += _fit(lengths, texts, limit, output, said, f"{limit} ({what})")
    for key, length in (("imitation", config.imitation.max_length), ("training", config.training.max_length)):
        notes += _fit(lengths, texts, length, 1, "an output", f"{key}.max_length={length}")
    return list(dict.fromkeys(notes))


def _server_has_its_own(student: StudentSettings) -> list[str]:
    """A line for keys about weights that a server elsewhere knows nothing of."""
    changed = [key for key in ("dtype", "quantization") if getattr(student, key) not in {None, "auto"}]
    if student.engine != "endpoint" or not changed:
        return []
    assert student.endpoint is not None, "StudentSettings sees to it"
    keys = " and ".join(f"student.{key}" for key in changed)
    return [f"{keys} is for the training alone: {student.endpoint.base_url} keeps its weights as it was started with"]


class _Lengths:
    """Tokens of inputs' prompts, each counted once."""

    def __init__(self, student: LoadedStudent, agent: StudentAgent) -> None:
        self._student, self._agent = student, agent
        self._known: dict[str, int] = {}

    def of(self, example: Example) -> int:
        if example.id not in self._known:
            self._known[example.id] = len(render_prompt(self._student, self._agent.prompt(example.value)))
        return self._known[example.id]


def _fit(lengths: _Lengths, texts: Sequence[Example], limit: int, output: int, what: str, where: str) -> list[str]:
    """A line where some of the inputs, shortest first, leave no room for an output."""
    shortest = lengths.of(texts[0])
    if shortest + output > limit:
        raise ConfigError(
            f"the student has no room: the prompt of its shortest input has {shortest} tokens, and with {what} that is "
            f"more than {where}; lower the one, raise the other, or shorten the task's student prompts"
        )
    too_long = fitting = 0
    for example in reversed(texts):
        fitting = 0 if lengths.of(example) + output > limit else fitting + 1
        too_long += not fitting
        if fitting == FITTING_IN_A_ROW:
            break
    if not too_long:
        return []
    return [
        f"{too_long} of {len(texts)} inputs are too long for the student: their prompts and {what} are more than "
        f"{where}"
    ]


def _positions(student: LoadedStudent) -> int | None:
    return student.positions if student.kind == "causal" else None
