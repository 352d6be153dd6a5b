"""The file of an experiment: what its arms are, how they differ, and which seeds they are carried out with.

It says nothing of what is done already; `cells` makes of it what is to be done.
"""

import difflib
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from ...core.config_file import read_mapping
from ...core.errors import ConfigError
from ...core.nearest_key import nearest_key
from ...core.section import Section, from_home

MOST_CELLS = 1000
"""Arms times seeds: each is worked out, checked and told beforehand."""
LONGEST_NAME = 60
"""Characters of the name of an experiment or an arm."""


class Arm(Section):
    """One arm. Without `train_on` and `of` it is a campaign with the experiment's configuration and what it sets."""

    set: dict[str, Any] = Field(default_factory=dict)
    """What of the configuration is different in this arm: `{training.objective: simpo}`, or nested."""
    train_on: str | None = None
    """The arm whose transcripts it learns from: nothing is generated, and nobody is asked."""
    of: str | None = None
    """The arm whose adapter it is. With `set` it is evaluated otherwise, such as `{evaluation.best_of: 4}`."""
    version: Literal["base", "imitation", "promoted"] | Annotated[int, Field(ge=0)] | None = None
    """Of `of` the adapter that is judged (None: the promoted one), of `train_on` the one that learning starts from
    (None: the one after imitation). `base` is the bare student."""
    note: str = ""
    """What readers of the table should know of it."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if self.of is not None and self.train_on is not None:
            raise ValueError("of and train_on exclude each other: an arm judges an adapter, or makes one")
        if self.version is not None and self.of is None and self.train_on is None:
            raise ValueError("version says which adapter of another arm is meant; name that arm with of or train_on")
        return self

    @property
    def source(self) -> str | None:
        """The arm it goes back to."""
        return self.of or self.train_on


class Experiment(Section):
    """What one table is made of."""

    name: str
    """What it is called; its runs are found by it."""
    about: str = ""
    """What it asks, for the head of its report."""
    config: str | dict[str, Any]
    """A configuration file (a relative path is from this file's folder), or a configuration."""
    seeds: tuple[int, ...] = (1, 2, 3)
    """Each arm is carried out once with each."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Laid over the configuration for all arms."""
    arms: dict[str, Arm]
    """By name, in the order of the table. One that sets nothing may be left empty."""
    baseline: str | None = None
    """The arm that gains are measured over. None: the first that is an imitation adapter, else the first."""

    @field_validator("arms", mode="before")
    @classmethod
    def _an_empty_arm_is_one(cls, arms: Any) -> Any:
        if not isinstance(arms, Mapping):
            return arms
        return {str(name): {} if arm is None else arm for name, arm in arms.items()}

    @field_validator("seeds", mode="before")
    @classmethod
    def _seeds_are_numbers(cls, seeds: Any) -> Any:
        if isinstance(seeds, list | tuple) and any(isinstance(seed, bool) for seed in seeds):
            raise ValueError(f"a seed is a number: {list(seeds)!r:.80}; yes, no, true and false are none")
        return seeds

    @field_validator("seeds")
    @classmethod
    def _seeds_are_different(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if not seeds:
            raise ValueError("there is no seed; give some, such as [1, 2, 3]")
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed stands there twice: {list(seeds)}; the same run twice says nothing more")
        if not all(0 <= seed < 2**31 for seed in seeds):
            raise ValueError("a seed lies from 0 to 2147483647")
        return seeds

    @model_validator(mode="after")
    def _arms_go_back_to_arms(self) -> Self:
        if not self.arms:
            raise ValueError("arms: there is none; give at least one, such as {dpo: {set: {training.objective: dpo}}}")
        for name in (self.name, *self.arms):
            if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
                raise ValueError(
                    f"{name!r:.80} is no name: it has from 1 to {LONGEST_NAME} characters, all of which can be printed"
                )
        if self.name.strip().lower() == "latest":
            raise ValueError("name: 'latest' means the latest run wherever a run is named; give another")
        if (cells := len(self.arms) * len(self.seeds)) > MOST_CELLS:
            raise ValueError(
                f"{len(self.arms)} arms with {len(self.seeds)} seeds are {cells:,} runs; an experiment has "
                f"{MOST_CELLS:,} at most: give fewer seeds, or make several experiments of it"
            )
        try:
            self.order()
        except CycleError as error:
            raise ValueError(f"arms go back to each other in a circle: {' -> '.join(error.args[1])}") from None
        for name, arm in self.arms.items():
            if arm.source is None:
                continue
            if arm.source not in self.arms:
                raise ValueError(f"arms.{name}: there is no arm {arm.source!r}{_closest(arm.source, list(self.arms))}")
            there = self.arms[arm.source]
            if there.of is not None or (arm.train_on is not None and there.train_on is not None):
                what = "judges another arm's adapter" if there.of is not None else "has no transcripts of its own"
                raise ValueError(f"arms.{name}: {arm.source} {what}; name {there.source}, where that is made")
        if self.baseline is not None and self.baseline not in self.arms:
            raise ValueError(f"baseline: there is no arm {self.baseline!r}{_closest(self.baseline, list(self.arms))}")
        return self

    def order(self) -> list[str]:
        """The arms, each after the one it goes back to, else in the file's order."""
        sources = {name: [] if arm.source is None else [arm.source] for name, arm in self.arms.items()}
        return list(TopologicalSorter(sources).static_order())

    @property
    def measured_over(self) -> str:
        """The arm that gains are measured over."""
        imitations = [name for name, arm in self.arms.items() if arm.version == "imitation" and not arm.set and arm.of]
        return self.baseline or next(iter([*imitations, *self.arms]))


class ReadExperiment(NamedTuple):
    """An experiment, and where relative paths in it begin."""

    experiment: Experiment
    folder: Path
    overrides: tuple[str, ...] = ()
    """`--set`: laid over every arm."""
    file: Path | None = None


def read_experiment(given: str | Path | Mapping[str, Any], overrides: Sequence[str] = ()) -> ReadExperiment:
    """Read an experiment from its file, or from the same as a mapping.

    Raises:
        ConfigError: it cannot be read, or names every key that is unknown or has a wrong value.
    """
    file = Path(from_home(given)) if isinstance(given, str | Path) else None
    if file is not None and not file.exists():
        raise ConfigError(f"there is no experiment file {str(file.absolute())!r}; `--example NAME` needs none")
    values = read_mapping(file) if file is not None else given
    where = str(file) if file is not None else "the experiment"
    if isinstance(values, Mapping) and "arms" not in values and "inputs" in values:
        raise ConfigError(f"{where} has no arms: it is the configuration of one run, for `openmic run`")
    try:
        found = Experiment.model_validate(dict(values))  # type: ignore[arg-type]  # anything may have been given
    except ValidationError as error:
        raise ConfigError(_explained(error, where)) from None
    except TypeError:
        raise ConfigError(f"{where} is no experiment: give a mapping with name, config and arms") from None
    return ReadExperiment(found, Path() if file is None else file.parent, tuple(overrides), file)


def _explained(error: ValidationError, where: str) -> str:
    lines = []
    for item in error.errors():
        key = tuple(str(part) for part in item["loc"])
        dotted = ".".join(key)
        in_arm = len(key) > 2 and key[0] == "arms"
        if item["type"] == "extra_forbidden":
            hint = nearest_key(Arm, key[2:]) if in_arm else nearest_key(Experiment, key)
            lines.append(f"{where}: unknown key {dotted!r}{hint}")
        elif item["type"] == "missing":
            lines.append(f"{where}: {dotted} is missing and has no default")
        else:
            message = item["msg"].removeprefix("Value error, ")
            lines.append(f"{where}: {f'{dotted}: ' if dotted else ''}{message[:1].lower()}{message[1:]}")
    return "\n".join(dict.fromkeys(lines))


def _closest(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
