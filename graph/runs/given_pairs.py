"""Training from preferences of other people's making: a file of pairs becomes a run's transcript.

Nothing is generated, and nobody is asked. The texts are stored as dialogues with two texts, or more, and no verdict, so
that the adapter can be traced to them, exported and trained anew like any other.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...agents.tasks.task import Task
from ...core.config import RunConfig
from ...core.errors import ConfigError, InputError
from ...core.ids import content_hash, derive_id, new_id
from ...core.records import GIVEN, Agent, Message, Split, Stage, TrainingExample, TurnKind, as_sent
from ...core.row_files import Reading, hub_id, read_rows
from ...evaluation.text_metrics import length_ratio
from ...store import Adapter, Dialogue, ExampleRow, Preference, PromptRow, Run, RunExample, Store, Turn, check_writable
from ...store.schema import TableModel, now
from ...training.example_forms import as_example
from ...training.local_ray import runs_here
from ...training.student.device import check_device
from ...training.student.student import inspect_student, student_elsewhere
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..preflight.cluster import checked_session
from ..preflight.objects import check_objective
from ..stages.lengths import fitting_length
from .provenance import begin_run, pinned, run_record
from .retrain import carry_out_training

LEARNS_FROM_PAIRS = ("dpo", "simpo", "kto", "sd")
"""The objectives that ship and need nothing but pairs."""
ANY_LENGTH = [1e-6, 1e6]
"""`preferences.length_ratio` of pairs of other people's making, which are taken as they are."""


def read_pairs(path: Path, *, split: str | None = None, subset: str | None = None) -> list[TrainingExample]:
    """The pairs of a file or a dataset, each a prompt and two completions, the better one first.

    Args:
        path: A .jsonl, .json, .csv, .tsv or .parquet file, or a dataset's folder or address, with the columns prompt,
            chosen and rejected, each a text or a conversation; without prompt, as TRL has it, both are whole ones.
        split: Which split of a dataset.
        subset: Which configuration of a dataset on the hub.

    Raises:
        InputError: it cannot be read, or a row is no pair; the row is named.
    """
    reading = Reading(
        columns=("chosen", "rejected"),
        kind="pairs",
        path_key="--pairs",
        columns_key="the names of its columns: prompt, chosen and rejected",
        optional=("prompt",),
        split=split,
        subset=subset,
        split_key="--split",
    )
    pairs: list[TrainingExample] = []
    problems: list[str] = []
    for number, (place, row) in enumerate(read_rows(path, reading)):
        wanted = {name: row[name] for name in ("prompt", "chosen", "rejected") if row.get(name) is not None}
        try:
            pair = as_example(wanted, number)
        except ConfigError as error:
            problems.append(f"{place}: {str(error).removeprefix(f'example {number}').lstrip(': ')}")
            continue
        if not all(text.strip() for text in pair.completions):
            problems.append(f"{place}: chosen or rejected is empty")
        elif pair.completions[0] == pair.completions[1]:
            problems.append(f"{place}: chosen and rejected are the same text")
        pairs.append(pair)
    if problems:
        more = f" (and {len(problems) - 1} more rows)" if len(problems) > 1 else ""
        raise InputError(f"{path}, {problems[0]}{more}; mend it, or leave it out")
    if not pairs:
        raise InputError(f"{path} holds no pairs; give it rows with prompt, chosen and rejected")
    return pairs


def train_on_pairs(
    config: RunConfig,
    path: Path,
    arguments: Sequence[str],
    progress: Progress,
    *,
    split: str | None = None,
    subset: str | None = None,
) -> tuple[str, str]:
    """Train an adapter on pairs, as a run of its own; returns its id and the store's address.

    Args:
        config: The student, how it is trained, and where the run is kept.
        path: As for `read_pairs`.
        arguments: The command line as it was typed.
        progress: Where to show the training.
        split: As for `read_pairs`.
        subset: Likewise.

    Raises:
        ConfigError: the objective needs more than pairs, or something else cannot be had; nothing was recorded.
        InputError: as `read_pairs`.
        TrainingError: no pair is left to learn from.
    """
    objective = config.training.objective
    if ":" not in objective and objective not in LEARNS_FROM_PAIRS:
        raise ConfigError(
            f"training.objective {objective} needs more than pairs; take {', '.join(LEARNS_FROM_PAIRS)}, or one of "
            "your own"
        )
    plugs = Plugs()
    pairs = read_pairs(path, split=split, subset=subset)
    check_writable(config.store_url)
    check_device(config.student.device, "student.device", here=runs_here())
    check_objective(config, plugs)
    config = pinned(config, inspect_student(config.student))
    known = student_elsewhere(config.student, config.student.chat_template_kwargs)
    config = config.settled(fitting_length(known, [pair.chosen for pair in pairs]))
    run_id = new_id()
    home = (config.home / "runs" / run_id).absolute()
    task = Task("pairs", student={"system": _system(pairs)}, description=f"As the pairs of {path.name} have it.")
    with checked_session(config, config.store_url, home, students=False), Store.open(config.store_url) as store:
        run = run_record(
            run_id,
            config,
            task,
            simulated=False,
            plugs=plugs.records,
            home=store.recorded(home),
            arguments=arguments,
            kind="train",
        )
        run.cast = {"simulated": False, "judge_is_critic": False}
        run = _begin(store, run, config, pairs, str(path))
        carry_out_training(store, run, plugs.recall(run), progress)
    return run_id, config.store_url


def _system(pairs: Sequence[TrainingExample]) -> str:
    """The system prompt that all pairs have; empty where they have none, or several."""
    said = {pair.messages[0].content if pair.messages[0].role == "system" else "" for pair in pairs}
    return said.pop() if len(said) == 1 else ""


def _begin(store: Store, run: Run, config: RunConfig, pairs: Sequence[TrainingExample], source: str) -> Run:
    """Record the run: a dialogue for each prompt, a turn for each text, a preference for each pair."""
    by_prompt: dict[str, list[TrainingExample]] = {}
    for pair in pairs:
        by_prompt.setdefault(content_hash(as_sent(pair.messages)), []).append(pair)
    shared: list[TableModel] = []
    own: list[TableModel] = [
        Adapter(
            id=derive_id(run.id, "adapter", 0),
            run_id=run.id,
            version=0,
            stage="base",
            round=0,
            base_model=config.student.full_name,
            status="promoted",
            reason="the student as it came",
        )
    ]
    for position, (example_id, alike) in enumerate(by_prompt.items()):
        prompt = PromptRow.of(alike[0].messages)
        shared += [ExampleRow(id=example_id, text=_as_text(alike[0].messages)), prompt]
        own.append(RunExample(run_id=run.id, example_id=example_id, position=position, split=Split.TRAIN))
        own += _dialogue(run.id, example_id, prompt.hash, alike, source)
    return begin_run(store, run, *own, shared=shared)


def _dialogue(
    run_id: str, example_id: str, prompt_hash: str, pairs: Sequence[TrainingExample], source: str
) -> list[TableModel]:
    identity = derive_id(run_id, Stage.COLLECT, 1, example_id)
    dialogue = Dialogue(
        id=identity,
        run_id=run_id,
        stage=Stage.COLLECT,
        round=1,
        example_id=example_id,
        prompt_hash=prompt_hash,
        status="finished",
        stop_reason=GIVEN,
        finished_at=now(),
    )
    turns: dict[str, Turn] = {}
    preferences: dict[tuple[str, str], Preference] = {}
    for pair in pairs:
        chosen, rejected = (
            turns.setdefault(text, _turn(dialogue, len(turns), text, prompt_hash, source)) for text in pair.completions
        )
        preferences[chosen.id, rejected.id] = Preference(
            id=derive_id(identity, "preference", chosen.id, rejected.id),
            run_id=run_id,
            round=1,
            dialogue_id=identity,
            example_id=example_id,
            chosen_turn_id=chosen.id,
            rejected_turn_id=rejected.id,
            source="given",
            margin=0.0,
            length_ratio=length_ratio(chosen.content, rejected.content),
        )
    return [dialogue, *turns.values(), *preferences.values()]


def _turn(dialogue: Dialogue, seq: int, text: str, prompt_hash: str, source: str) -> Turn:
    return Turn(
        id=derive_id(dialogue.id, seq),
        run_id=dialogue.run_id,
        dialogue_id=dialogue.id,
        seq=seq,
        agent=Agent.STUDENT,
        kind=TurnKind.DRAFT,
        content=text,
        content_hash=content_hash(text),
        prompt_hash=prompt_hash,
        model=source,
    )


def _as_text(prompt: Sequence[Message]) -> str:
    """What people read of a prompt: what the user says, or each message where there are several."""
    said = [message for message in prompt if message.role != "system"]
    if len(said) == 1:
        return str(said[0].content)
    return "\n".join(f"{message.role}: {message.content}" for message in prompt)


def base_values(path: Path) -> dict[str, Any]:
    """The configuration that a training on pairs begins from; a YAML file and `--set` are laid over it."""
    place = path if hub_id(path) is not None else path.absolute()
    return {"name": path.stem or "pairs", "inputs": {"path": str(place)}, "preferences": {"length_ratio": ANY_LENGTH}}
