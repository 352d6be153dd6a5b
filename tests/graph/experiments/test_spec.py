from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import ConfigError
from openmic.graph.experiments.spec import read_experiment

CONFIG = {"inputs": {"path": "inputs.txt"}}


def spec(**values: Any) -> dict[str, Any]:
    return {"name": "mine", "config": CONFIG, "arms": {"dpo": {}}, **values}


def refusal(**values: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read_experiment(spec(**values))
    return str(caught.value)


def test_an_arm_that_is_left_empty_is_a_campaign_as_configured() -> None:
    found = read_experiment(spec(arms={"dpo": None, 7: {"set": {"rounds": 2}}})).experiment
    assert list(found.arms) == ["dpo", "7"]
    assert (found.arms["dpo"].set, found.seeds, found.measured_over) == ({}, (1, 2, 3), "dpo")


def test_gains_are_over_the_first_imitation_unless_an_arm_is_named() -> None:
    arms = {"dpo": {}, "best": {"of": "dpo", "version": "imitation", "set": {"evaluation.best_of": 2}}}
    arms["ft"] = {"of": "dpo", "version": "imitation"}
    assert read_experiment(spec(arms=arms)).experiment.measured_over == "ft"
    assert read_experiment(spec(arms=arms, baseline="dpo")).experiment.measured_over == "dpo"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"arm": {}}, "unknown key 'arm'; did you mean 'arms'?"),
        ({"arms": {"dpo": {"train_onn": "x"}}}, "unknown key 'arms.dpo.train_onn'; did you mean 'train_on'?"),
        ({"arms": {}}, "arms: there is none"),
        ({"arms": {"": {}}}, "'' is no name"),
        ({"arms": {"a\x1b[31m": {}}}, "is no name"),
        ({"name": "x" * 61}, "is no name"),
        ({"seeds": []}, "there is no seed"),
        ({"seeds": [3, 3]}, "a seed stands there twice: [3, 3]"),
        ({"seeds": [-1]}, "a seed lies from 0"),
        ({"seeds": ["one"]}, "seeds.0"),
        ({"seeds": [True]}, "a seed is a number: [True]"),
        ({"seeds": list(range(1001))}, "seeds are 1,001 runs; an experiment has 1,000 at most"),
        ({"name": "Latest"}, "'latest' means the latest run"),
        ({"arms": {"dpo": {"of": "ftt"}, "ft": {}}}, "arms.dpo: there is no arm 'ftt'; did you mean 'ft'?"),
        ({"arms": {"a": {"of": "b"}, "b": {"of": "a"}}}, "arms go back to each other in a circle: a -> b -> a"),
        ({"arms": {"a": {"of": "a"}}}, "arms go back to each other in a circle: a -> a"),
        (
            {"arms": {"c": {}, "a": {"train_on": "c"}, "b": {"train_on": "a"}}},
            "arms.b: a has no transcripts of its own; name c",
        ),
        ({"arms": {"a": {}, "b": {"of": "a", "train_on": "a"}}}, "of and train_on exclude each other"),
        ({"arms": {"a": {"version": "base"}}}, "version says which adapter of another arm is meant"),
        ({"arms": {"a": {}, "b": {"of": "a", "version": "last"}}}, "arms.b.version"),
        ({"baseline": "dpoo"}, "baseline: there is no arm 'dpoo'; did you mean 'dpo'?"),
        ({"arms": [1]}, "arms"),
    ],
)
def test_what_is_wrong_is_named_with_what_was_likely_meant(values: dict[str, Any], message: str) -> None:
    assert message in refusal(**values)


def test_a_configuration_of_one_run_is_told_from_an_experiment(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("inputs: {path: x.txt}\n")
    with pytest.raises(ConfigError, match="has no arms: it is the configuration of one run, for `openmic run`"):
        read_experiment(path)
    with pytest.raises(ConfigError, match="there is no experiment file"):
        read_experiment(tmp_path / "none.yaml")
    path.write_text("")
    with pytest.raises(ConfigError, match="holds no configuration"):
        read_experiment(path)
