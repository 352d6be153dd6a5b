"""An experiment's cells: one arm with one seed, its configuration, and the hash of all that decides.

A cell is done where a finished run of the store has its hash, whatever else was changed since.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ...agents.tasks.task import Task
from ...core.config import InputSettings, RunConfig
from ...core.config_file import Layer, flat_values, keys_of, layered_config, read_mapping
from ...core.errors import ConfigError
from ...core.ids import content_hash
from ...core.inputs import read_inputs
from ...core.plugs import Plug, describe_plug
from ...core.records import Example
from ...core.section import from_home
from ...training.student.fingerprint import files_for, student_files
from ..context.keys import plug_keys
from ..context.plugs import Plugs
from ..runs.derive import derived_config
from .spec import Arm, Experiment, ReadExperiment

CellKind = Literal["campaign", "train", "evaluate", "adapter"]
"""A run of that kind, or an adapter of another cell's run, judged as it is."""
_NO_MATTER: dict[str, frozenset[str]] = {
    "": frozenset({"name", "home", "store", "storage_uri", "budget", "tracking"}),
    "student": frozenset({"pool"}),
    "dialogue": frozenset({"workers", "cpus_per_worker"}),
}
"""What of a configuration decides nothing of what comes of it, by section."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm with one seed."""

    arm: str
    seed: int
    kind: CellKind
    config: RunConfig
    """Its own; of an adapter that is judged as it is, the configuration of the cell that makes it."""
    source: "Cell | None"
    """The cell whose transcripts or adapter it takes."""
    version: Literal["base", "imitation", "promoted"] | int
    """Which adapter is judged; of a training, which one it starts from."""
    overrides: tuple[str, ...]
    """Of a cell that goes back to another: what it changes, `a.b=value` each."""
    content: str
    """The hash of all that decides what it comes to."""
    student_files: dict[str, str]
    """The files of its student's weights that are in that hash; its run works with no others."""
    examples: Sequence[Example] = field(repr=False)
    task: Task = field(repr=False)

    @property
    def maker(self) -> "Cell":
        """The cell whose run is evaluated."""
        return self.source if self.kind == "adapter" and self.source is not None else self

    @property
    def judged(self) -> str | int:
        """Which version of the evaluated run is judged."""
        return self.version if self.kind == "adapter" else "latest" if self.kind == "evaluate" else "promoted"

    @property
    def record(self) -> dict[str, Any]:
        """What the store keeps of it, to find its run by."""
        content = self.maker.content
        return {"arm": self.arm, "seed": self.seed, "kind": self.kind, "content": content, "version": self.judged}

    @property
    def title(self) -> str:
        """Arm and seed, as they are told."""
        return f"{self.arm} (seed {self.seed})"


def cells_of(read: ReadExperiment) -> list[Cell]:
    """All cells, seed by seed, each after the one it goes back to.

    Raises:
        ConfigError: a configuration is wrong; every arm is looked at, and all of it is told.
        InputError, TaskError: inputs or the task cannot be had.
    """
    found: list[Cell] = []
    problems: dict[str, None] = {}
    for seed in read.experiment.seeds:
        made: dict[str, Cell] = {}
        for name in read.experiment.order():
            source = read.experiment.arms[name].source
            if source is not None and source not in made:
                continue  # what is wrong there has been said
            try:
                made[name] = _cell(read, name, seed, made)
            except ConfigError as error:
                problems[str(error)] = None
        found += made.values()
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def _cell(read: ReadExperiment, name: str, seed: int, made: Mapping[str, Cell]) -> Cell:
    arm = read.experiment.arms[name]
    if arm.source is None:
        config = campaign_config(read, arm, name, seed)
        examples, task, files = _inputs(config.inputs), _task(config.task), student_files(config.student)
        content = _content("campaign", config, task, examples, files)
        return Cell(name, seed, "campaign", config, None, "promoted", (), content, files, examples, task)
    _check_own_keys(read, arm, name)
    source = made[arm.source]
    overrides = tuple(_lines(arm.set))
    version = arm.version if arm.version is not None else "promoted" if arm.of else "imitation"
    _check_version(name, arm, source)
    kind: CellKind = "train" if arm.train_on else "evaluate" if overrides else "adapter"
    config = source.config
    if kind != "adapter":
        try:
            config = derived_config(kind, source.config, overrides)
        except ConfigError as error:
            told = str(error).replace("--set ", f"arms.{name}.set: ")
            raise ConfigError(told) from None
    back = content_hash([source.content, version])
    files = files_for(config.student, source.config.student, source.student_files)
    content = back if kind == "adapter" else _content(kind, config, source.task, source.examples, files, back)
    return Cell(name, seed, kind, config, source, version, overrides, content, files, source.examples, source.task)


def campaign_config(read: ReadExperiment, arm: Arm, name: str, seed: int) -> RunConfig:
    """The configuration of an arm that is a campaign.

    Raises:
        ConfigError: it has a wrong key or value.
    """
    experiment = read.experiment
    base, folder = _base(experiment, read.folder)
    layers = [
        Layer(_shared(experiment), "the experiment"),
        Layer(base, "config" if isinstance(experiment.config, dict) else str(experiment.config)),
        Layer(experiment.set, "set"),
        Layer(arm.set, f"arms.{name}.set"),
        # Test inputs are touched once, at the end.
        Layer({"seed": seed, "evaluation.at_end": False}, "the experiment"),
    ]
    config = layered_config([layer for layer in layers if layer.values], folder, read.overrides)
    _check_own_keys(read, arm, name)
    # Whatever lies over everything, such as the environment, may have said them too.
    said = {"seed": config.seed != seed, "evaluation.at_end": config.evaluation.at_end}
    _refuse_own(f"arms.{name}", [key for key, is_said in said.items() if is_said], _OWN)
    if keys := config.open_lengths:
        raise ConfigError(
            f"arms.{name}: {' and '.join(keys)} would follow from each run's own demonstrations, and arms are compared "
            "at one length: set it for all, beside `seeds` (a run of the configuration says what suits its texts)"
        )
    return config


def _check_own_keys(read: ReadExperiment, arm: Arm, name: str) -> None:
    """Refuse what the experiment itself says: it would be passed over, or make seeds that are the same."""
    given = {
        "set": {**flat_values(read.experiment.set)},
        "--set": {line.partition("=")[0].strip(): "" for line in read.overrides},
        f"arms.{name}.set": {**flat_values(arm.set)},
    }
    for where, values in (("set", read.experiment.set), (f"arms.{name}.set", arm.set)):
        keys_of(Layer(values, where))  # none twice
    for where, values in given.items():
        own = _OWN if where in {"set", "--set"} else _OWN | _OF_ALL
        _refuse_own(where, values, own)


def _refuse_own(where: str, keys: Iterable[str], own: Mapping[str, str]) -> None:
    for key in keys:
        if key in own:
            raise ConfigError(f"{where}: {key}: {own[key]}")


def _check_version(name: str, arm: Arm, source: Cell) -> None:
    """Refuse an adapter that its arm never makes."""
    config = source.config
    last = 1 + config.rounds if source.kind == "campaign" and config.training.train_every is None else None
    if isinstance(arm.version, int) and last is not None and arm.version > last:
        raise ConfigError(
            f"arms.{name}.version: {arm.source} has no v{arm.version} with rounds={config.rounds}, but v{last} at most"
        )
    learns = arm.train_on is not None and source.kind == "campaign"
    if learns and not config.rounds and flat_values(arm.set).get("training.objective") != '"sft"':
        raise ConfigError(
            f"arms.{name}.train_on: {arm.source} has no dialogues to learn from, as its rounds are 0; name another arm"
        )


_OWN = {
    "seed": "the experiment's `seeds` say it, one run for each; leave it out",
    "evaluation.at_end": "an experiment looks at test inputs last of all; leave it out",
}
_OF_ALL = dict.fromkeys(("store", "home", "storage_uri"), "all arms have one store; set it for all, beside `seeds`")
"""What no arm may say for itself."""


def _base(experiment: Experiment, folder: Path) -> tuple[Mapping[str, Any], Path]:
    if isinstance(experiment.config, dict):
        return experiment.config, folder
    path = folder / from_home(experiment.config)
    return read_mapping(path), path.parent


def _shared(experiment: Experiment) -> dict[str, Any]:
    """What holds for all arms unless the configuration says otherwise: one cast, one set of references."""
    first = experiment.seeds[0]
    return {"cast.simulated.seed": first, "evaluation.references_seed": first, "evaluation.critic": True}


def _lines(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Values as `--set` has them."""
    for key, value in values.items():
        dotted = f"{above}{key}"
        yield f"{dotted}={json.dumps(value, ensure_ascii=False, default=str)}"


def _content(
    kind: str,
    config: RunConfig,
    task: Task,
    examples: Sequence[Example],
    files: dict[str, str],
    source: str | None = None,
) -> str:
    values = config.model_dump(mode="json")
    for section, names in _NO_MATTER.items():
        part = values[section] if section else values
        for name in names:
            part.pop(name, None)
    values["inputs"].pop("path")  # what it holds is what matters
    inputs = [] if source is not None else [[example.id, example.split] for example in examples]
    return content_hash([kind, values, task.hash, _objects(config), inputs, source, files])


def _objects(config: RunConfig) -> list[list[Any]]:
    """The source of every Python object that the configuration names by `module:attribute`."""
    objects = [[key, use, _source_hash(use)] for key, use in sorted(plug_keys(config).items()) if use and ":" in use]
    files = [one.demonstrations for one in (config.cast.teacher, config.cast.references) if one and one.demonstrations]
    return [*objects, *([str(file), _file_hash(file)] for file in files)]


@cache
def _source_hash(use: str) -> str | None:
    if use.endswith((".yaml", ".yml")):  # a task's file, whose hash is the task's
        return None
    found: str | None = describe_plug(Plug(use=use))["source_hash"]
    return found


@cache
def _file_hash(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None


def _inputs(settings: InputSettings) -> list[Example]:
    return _read_inputs(settings.model_dump_json())


@cache
def _read_inputs(settings: str) -> list[Example]:
    return read_inputs(InputSettings.model_validate_json(settings)).examples


@cache
def _task(name: str) -> Task:
    return Plugs().task(name)
