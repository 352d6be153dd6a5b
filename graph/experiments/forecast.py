"""How long an experiment takes: what each cell adds to what others have done already."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...core.ids import content_hash
from ..preflight.estimate import Sizing
from ..preflight.forecast import forecast_of
from .cells import Cell

OVERHEAD_S = 15.0
"""Of a run: its cast, its actors and its trainer are started, and its dialogues written anew where they are shared."""
_SHARED: dict[str, tuple[str, ...]] = {
    "demonstrate": ("inputs", "task", "seed", "cast"),
    "imitate": ("inputs", "task", "seed", "cast", "student", "imitation"),
    "collect": ("inputs", "task", "seed", "cast", "student", "imitation", "dialogue", "verdict", "preferences"),
}
"""What two cells have to have in common for a stage of the second to be taken over, by the stage."""


@dataclass(frozen=True, slots=True)
class CellTime:
    """What a cell adds."""

    arm: str
    seed: int
    seconds: float
    stages: Mapping[str, float]
    """Seconds by stage."""


def foreseen(cells: Sequence[Cell], done: frozenset[tuple[str, int]] = frozenset()) -> dict[str, Any]:
    """What an experiment takes at least.

    Args:
        cells: All of them.
        done: Those that nothing is left to be done for, by arm and seed.

    Returns:
        `seconds` in all, and `cells`, each with its `arm`, `seed`, `seconds` and seconds by `stages`.
    """
    taken: set[tuple[str, str]] = set()
    found = [_time(cell, taken, (cell.arm, cell.seed) in done) for cell in cells]
    return {"seconds": round(sum(one.seconds for one in found), 1), "cells": [asdict(one) for one in found]}


def _time(cell: Cell, taken: set[tuple[str, str]], done: bool) -> CellTime:
    stages: dict[str, float] = {}
    # With the evaluation that its own run leaves for later.
    config = cell.config.model_copy(update={"evaluation": cell.config.evaluation.model_copy(update={"at_end": True})})
    sizing = Sizing(config, cell.task, cell.examples)
    own = {one["stage"]: one["seconds"] for one in forecast_of(config, sizing)["stages"]}
    rounds = max(1, config.rounds)
    if cell.kind == "campaign":
        for stage, sections in _SHARED.items():
            if stage not in own:
                continue
            key = stage, content_hash([config.model_dump(mode="json", include=set(sections))])
            first = own[stage] / rounds if stage == "collect" else own[stage]
            rest = own[stage] - first
            stages[stage] = rest + (0.0 if key in taken else first)
            taken.add(key)
        stages |= {name: own[name] for name in ("fine-tune", "evaluate (dev)") if name in own}
    elif cell.kind == "train":
        stages["fine-tune"] = own.get("fine-tune", 0.0)
    stages["evaluate (test)"] = own.get("evaluate (test)", 0.0) / (2 + sizing.work.candidates)
    # An adapter that is judged as it is is judged with those of its run that others look at.
    stages["starting"] = OVERHEAD_S * {"campaign": 2, "train": 2, "evaluate": 1, "adapter": 0}[cell.kind]
    if done:
        stages = {}
    rounded = {name: round(seconds, 1) for name, seconds in stages.items() if seconds}
    return CellTime(cell.arm, cell.seed, sum(rounded.values()), rounded)
