"""Two adapters side by side on one held-out input, and the way to the next one."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...core.errors import ConfigError, NotFoundError
from ...core.records import Split
from ...core.word_diff import DiffPiece, word_diff
from ...store import Evaluation, EvaluationItem, ExampleRow, Run, Turn, VerdictRow
from ..site import AtSite, Site
from ..texts import LONG

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Side:
    """What one adapter said, and how the judge compared it with the reference."""

    version: int
    item: EvaluationItem
    output: Turn
    verdict: VerdictRow


@router.get("/runs/{run}/compare")
def compare(
    request: Request,
    site: AtSite,
    run: str,
    a: int | None = None,
    b: int | None = None,
    split: Split = Split.TEST,
    example: str | None = None,
    differing: bool = False,
) -> Response:
    """The outputs of adapters `a` and `b`; by default the first and the last that were evaluated.

    With `differing`, next and previous keep to the inputs on which the two fared differently.
    """
    found = site.run(run)
    evaluations = {
        row.adapter_version: row
        for row in site.store.select(
            Evaluation, run_id=found.id, split=split, status="finished", order_by="adapter_version"
        )
    }
    values: dict[str, Any] = {
        "run": found,
        "versions": list(evaluations),
        "split": split,
        "splits": list(Split),
        "differing": differing,
    }
    if not evaluations:
        return site.page(request, "compare.html", **values, sides=None, a=a, b=b)
    first = _version(found, evaluations, next(iter(evaluations)) if a is None else a, split)
    second = _version(found, evaluations, list(evaluations)[-1] if b is None else b, split)
    left, right = (_items(site, evaluations[version]) for version in (first, second))
    shared = [identity for identity in left if identity in right]
    among = [one for one in shared if not differing or left[one].outcome != right[one].outcome]
    shown = example or (among[0] if among else None)
    if example is not None and example not in shared:
        raise NotFoundError(f"adapters v{first} and v{second} were not both judged on an input {example!r}")
    sides = None if shown is None else [_side(site, first, left[shown]), _side(site, second, right[shown])]
    # An input that was asked for by its id need not be among those that differ: its neighbours are.
    before = [one for one in among if shown is not None and one < shown]
    following = [one for one in among if shown is not None and one > shown]
    return site.page(
        request,
        "compare.html",
        **values,
        a=first,
        b=second,
        sides=sides,
        example=site.store.get(ExampleRow, shown) if shown else None,
        reference=site.store.get(Turn, left[shown].reference_turn_id) if shown else None,
        changes=_changes(sides),
        before=before[-1] if before else None,
        following=following[0] if following else None,
        place=len(before) + 1,
        number=len(among),
        query={"a": first, "b": second, "split": split.value, "differing": "true" if differing else None},
    )


def _version(run: Run, evaluations: dict[int, Evaluation], version: int, split: Split) -> int:
    if version not in evaluations:
        listed = ", ".join(f"v{known}" for known in evaluations)
        raise ConfigError(f"adapter v{version} of run {run.id} was not judged on {split} inputs; {listed} were")
    return version


def _items(site: Site, evaluation: Evaluation) -> dict[str, EvaluationItem]:
    """The items by their input, in the order of the inputs' ids."""
    items = site.store.select(EvaluationItem, evaluation_id=evaluation.id, order_by="example_id")
    return {item.example_id: item for item in items}


def _side(site: Site, version: int, item: EvaluationItem) -> Side:
    output, verdict = site.store.get(Turn, item.output_turn_id), site.store.get(VerdictRow, item.verdict_id)
    assert output is not None
    assert verdict is not None
    return Side(version, item, output, verdict)


def _changes(sides: list[Side] | None) -> list[DiffPiece] | None:
    """What one would have to change in the first text to get the second; None where that is no help."""
    if sides is None:
        return None
    first, second = (side.output.content for side in sides)
    return None if first == second or len(first) + len(second) > LONG else word_diff(first, second)
