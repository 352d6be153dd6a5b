"""Runs beside each other: what differs in how they were set up, and what one gains over the other.

Runs that differ in their seed alone are one group, pooled as the seeds of an arm are. Gains are paired by input (and by
seed where groups share some), on the test inputs that both have; several gains are corrected for their number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...core.config import EvaluationSettings
from ...core.config_file import flat_values
from ...core.records import JudgedOutput
from ..headline import SAMPLES, SIMULATED, shown_versions, side_by_side
from ..intervals import FEW, Interval
from .pooled import Difference, balanced, corrected, pooled_mean
from .summary import arm_difference

APART = ("seed", "name", "home", "store", "storage_uri", "budget")
"""Keys, and sections, that say nothing about what a run comes to, or make it another seed of the same."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Outputs = Callable[[int], Sequence[JudgedOutput]]


@dataclass(frozen=True, slots=True)
class Side:
    """One run, as far as it is compared."""

    run: str
    """Its id."""
    name: str
    seed: int
    status: str
    facts: Mapping[str, str]
    """What else tells it apart, such as its kind and who plays which role."""
    config: Mapping[str, Any]
    """As resolved, nested."""
    versions: Sequence[Any]
    """Its adapters in order (see `headline.Version`)."""
    summaries: Mapping[int, Mapping[str, Any]]
    """What each judged version came to on test inputs."""
    outputs: Outputs = field(repr=False)
    simulated: bool = False

    @property
    def setup(self) -> dict[str, str]:
        """How it was set up, by dotted key, each as JSON; without what `APART` names."""
        flat = {key: value for key, value in flat_values(self.config).items() if key.split(".")[0] not in APART}
        return {**self.facts, **flat}

    @property
    def judged(self) -> int | None:
        """The version that stands for it, as in its own first sentence; None where none was judged."""
        shown = shown_versions(self.versions, self.summaries)
        return shown[-1] if shown else None


@dataclass(frozen=True, slots=True)
class _Group:
    letter: str
    sides: Sequence[Side]

    def outputs(self, version: int | None = None) -> list[JudgedOutput]:
        """Of all seeds, on test inputs: of the version that stands for each run, or of one version of all."""
        found: list[JudgedOutput] = []
        for side in self.sides:
            number = side.judged if version is None else version
            if number is not None and number in side.summaries:
                found.extend(side.outputs(number))
        return found


def compared(sides: Sequence[Side], settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """Runs beside each other, ready for JSON.

    Args:
        sides: Two or more runs, the first of which the others are measured against.
        settings: The confidence, and how many resamples.
        seed: Makes bootstraps reproducible.

    Returns:
        `groups` (see `_told`), `differences` (by key, what each group has of it, null where it has not), `alike` (how
        many keys are), `gains` (of each group over the first: `value`, `ci`, `p`, `p_corrected`, `clear`, `inputs`),
        `samples` (see `side_by_side`: of each group's first judged run), `confidence`, and `notes` to read with it.
    """
    groups = _groups(sides)
    setups = [group.sides[0].setup for group in groups]
    keys = list(dict.fromkeys(key for setup in setups for key in setup))
    differing = {key: [setup.get(key) for setup in setups] for key in keys}
    differing = {key: values for key, values in differing.items() if len(set(values)) > 1}
    outputs = [group.outputs() for group in groups]
    gains = {
        group.letter: (found, len(_shared(outputs[0], after)))
        for group, after in zip(groups[1:], outputs[1:], strict=True)
        if (found := arm_difference(outputs[0], after, settings, seed) if outputs[0] and after else None) is not None
    }
    return {
        "groups": [_told(group, said, settings, seed) for group, said in zip(groups, outputs, strict=True)],
        "differences": differing,
        "alike": len(keys) - len(differing),
        "gains": _gains(gains, groups[0].letter, settings),
        "samples": side_by_side(
            {g.letter: _first(said) for g, said in zip(groups, outputs, strict=True) if said}, SAMPLES, "group"
        ),
        "confidence": settings.confidence,
        "notes": list(_notes(groups, gains, outputs)),
    }


def _groups(sides: Sequence[Side]) -> list[_Group]:
    """Runs that differ in their seed alone together, in the order in which they were given."""
    found: list[list[Side]] = []
    for side in sides:
        fits = (
            group for group in found if group[0].setup == side.setup and side.seed not in {one.seed for one in group}
        )
        group = next(fits, None)
        if group is None:
            found.append([side])
        else:
            group.append(side)
    return [_Group(_letter(place), group) for place, group in enumerate(found)]


def _letter(place: int) -> str:
    more, letter = divmod(place, len(LETTERS))
    return LETTERS[letter] + (str(more) if more else "")


def _told(group: _Group, outputs: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """A group: `group` (its letter), `runs`, `seeds`, `win_tie_rate` and what is averaged over its runs, `curve`.

    `curve` has the win-tie rate of each version that all its runs were judged on, with its interval.
    """
    summaries = [side.summaries[side.judged] for side in group.sides if side.judged is not None]
    numbers = set.intersection(*(set(side.summaries) for side in group.sides))
    return {
        "group": group.letter,
        "runs": [
            {"run": one.run, "name": one.name, "seed": one.seed, "status": one.status, "version": one.judged}
            for one in group.sides
        ],
        "inputs": len({one.input_id for one in outputs}),
        "win_tie_rate": _rate(outputs, settings, seed),
        "length_ratio": _mean([one["length_ratio"] for one in summaries if "length_ratio" in one]),
        "distinct_2": _mean([one["distinct_2"] for one in summaries if "distinct_2" in one]),
        "scores": _scores(summaries),
        "curve": [
            {"version": number, **rate}
            for number in sorted(numbers)
            if (rate := _rate(group.outputs(number), settings, seed)) is not None
        ],
    }


def _first(outputs: Sequence[JudgedOutput]) -> list[JudgedOutput]:
    """Those of a group's first run, which has a seed of its own there."""
    return [one for one in outputs if one.seed == outputs[0].seed]


def _rate(outputs: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int) -> dict[str, Any] | None:
    values, left_out = balanced({one.place: one.credit for one in outputs})
    if not values.size:
        return None
    rate = pooled_mean(values, settings, seed)
    return {"value": rate.value, "ci": [rate.low, rate.high], "inputs": len(values), "left_out": left_out}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _scores(summaries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in summaries for name in one.get("scores", {}))
    means = {name: _mean([one["scores"][name] for one in summaries if name in one.get("scores", {})]) for name in names}
    return {name: mean for name, mean in means.items() if mean is not None}


def _gains(
    found: Mapping[str, tuple[Difference, int]], first: str, settings: EvaluationSettings
) -> list[dict[str, Any]]:
    holm = corrected({letter: one for letter, (one, _) in found.items()}, settings)
    return [
        {
            "of": letter,
            "over": first,
            "value": one.value,
            "ci": list(Interval(one.value, one.low, one.high)[1:]),
            "p": one.p,
            "p_corrected": holm[letter].p,
            "clear": holm[letter].clear,
            "inputs": inputs,
        }
        for letter, (one, inputs) in found.items()
    ]


def _shared(before: Sequence[JudgedOutput], after: Sequence[JudgedOutput]) -> set[str]:
    return {one.input_id for one in before} & {one.input_id for one in after}


def _notes(
    groups: Sequence[_Group], gains: Mapping[str, tuple[Difference, int]], outputs: Sequence[Sequence[JudgedOutput]]
) -> Sequence[str]:
    """What has to be known to read the figures."""
    sides = [side for group in groups for side in group.sides]
    notes = [
        f"{group.letter}: no version of {side.run} was judged on the test inputs to the end"
        for group in groups
        for side in group.sides
        if side.judged is None
    ]
    if len(groups) == 1:
        notes.append("these runs differ in their seeds alone: they are one group, and there is nothing to compare")
    for group, said in zip(groups[1:], outputs[1:], strict=True):
        if group.letter not in gains and said and outputs[0]:
            notes.append(f"{group.letter} and {groups[0].letter} were judged on no test input in common")
    if len({side.facts.get("judge") for side in sides}) > 1:
        notes.append("their judges differ: a gain is then one of the judges' too")
    if len({side.facts.get("teacher") for side in sides}) > 1:
        notes.append("their teachers differ: each output was compared with another teacher's text")
    if any(inputs < FEW for _, inputs in gains.values()):
        notes.append(f"under {FEW} inputs in common: intervals are narrower than they should be; read them with care")
    if any(side.simulated for side in sides):
        notes.append(f"{SIMULATED}: they show that the loop works, not how good anything is")
    return notes
