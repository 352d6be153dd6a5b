"""Runs beside each other: which are one group, what differs, and what is gained on common inputs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest

from openmic.core.config import EvaluationSettings
from openmic.core.records import JudgedOutput, Outcome
from openmic.evaluation.arms.compared import Side, compared

SETTINGS = EvaluationSettings(bootstrap_samples=200)
OUTCOMES: dict[str, Outcome] = {"w": "win", "t": "tie", "l": "loss"}


class Made(NamedTuple):
    version: int
    stage: str
    status: str = "promoted"


VERSIONS = (Made(0, "base"), Made(1, "imitation"), Made(2, "round"))


def side(name: str, outcomes: str, *, seed: int = 7, start: int = 0, **more: Any) -> Side:
    """A run whose v2 had these outcomes, and whose v1 lost everything."""
    config: Mapping[str, Any] = {"seed": seed, "name": name, "training": {"objective": more.pop("objective", "dpo")}}
    said = {1: "l" * len(outcomes), 2: outcomes} if outcomes else {}
    summaries = {
        v: {"n": len(of), "length_ratio": 2.0, "distinct_2": 0.5, "scores": {"r": 1.0}} for v, of in said.items()
    }

    def outputs(version: int) -> list[JudgedOutput]:
        of = enumerate(said[version], start=start)
        return [JudgedOutput(f"i{n}", "in", "out", "ref", OUTCOMES[one], True, seed=seed) for n, one in of]

    facts = {"kind": "campaign", "judge": more.pop("judge", "large")}
    return Side(name, name, seed, "finished", facts, config, VERSIONS, summaries, outputs, **more)


def test_runs_that_differ_in_their_seed_alone_are_one_group_and_a_seed_stands_in_it_once() -> None:
    found = compared([side("a", "wl"), side("b", "wl", seed=8), side("again", "wl")], SETTINGS, 1)
    assert [[run["run"] for run in group["runs"]] for group in found["groups"]] == [["a", "b"], ["again"]]
    assert found["differences"] == {}
    alone = compared([side("a", "wl"), side("b", "wl", seed=8)], SETTINGS, 1)
    assert alone["gains"] == []
    assert any("in their seeds alone" in note for note in alone["notes"])


def test_the_gain_is_over_the_first_group_on_common_inputs_and_only_what_differs_is_told() -> None:
    found = compared([side("a", "l" * 40), side("b", "w" * 40, objective="simpo", start=10)], SETTINGS, 1)
    [gain] = found["gains"]
    assert (gain["of"], gain["over"], gain["inputs"], gain["clear"]) == ("B", "A", 30, True)
    assert gain["value"] == pytest.approx(1.0)
    assert gain["ci"][0] > 0.5
    assert found["differences"] == {"training.objective": ['"dpo"', '"simpo"']}
    assert [one["version"] for one in found["groups"][1]["curve"]] == [1, 2]
    assert found["groups"][1]["length_ratio"] == 2.0
    assert found["groups"][1]["scores"] == {"r": 1.0}


def test_what_groups_said_of_the_same_inputs_stands_side_by_side_without_a_choice() -> None:
    runs = [side("a", "wlwt"), side("a8", "llll", seed=8), side("b", "lwtt", objective="kto", start=1)]
    samples = compared(runs, SETTINGS, 1)["samples"]
    assert [[(one["group"], one["outcome"]) for one in sample["outputs"]] for sample in samples] == [
        [("A", "loss"), ("B", "loss")],  # i1, of the group's first run
        [("A", "win"), ("B", "win")],
        [("A", "tie"), ("B", "tie")],
    ]
    assert {(sample["input"], sample["teacher"]) for sample in samples} == {("in", "ref")}
    assert compared([side("a", "w"), side("far", "w", objective="sd", start=9)], SETTINGS, 1)["samples"] == []


def test_seeds_of_a_group_are_paired_and_pooled() -> None:
    before = [side("a7", "wl" * 20), side("a8", "wl" * 20, seed=8)]
    after = [side("b7", "ww" * 20, objective="kto"), side("b8", "ww" * 20, seed=8, objective="kto")]
    found = compared([before[0], after[0], before[1], after[1]], SETTINGS, 1)
    assert [len(group["runs"]) for group in found["groups"]] == [2, 2]
    assert found["gains"][0]["value"] == pytest.approx(0.5)
    assert found["groups"][0]["win_tie_rate"]["value"] == pytest.approx(0.5)


def test_what_has_to_be_known_is_said() -> None:
    sides = [
        side("a", "wl"),
        side("none", "", objective="kto"),
        side("far", "wl", objective="sd", start=9, judge="other"),
    ]
    found = compared([*sides, side("simulated", "t", objective="sft", simulated=True)], SETTINGS, 1)
    assert found["groups"][1]["win_tie_rate"] is None
    notes = "\n".join(found["notes"])
    for said in ("no version of none was judged", "C and A were judged on no test input in common", "judges differ"):
        assert said in notes
    assert "under 30 inputs in common" in notes
    assert "figures of the simulated cast" in notes
    assert found["differences"]["judge"] == ["large", "large", "other", "large"]
