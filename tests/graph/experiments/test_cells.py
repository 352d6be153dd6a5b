"""What the cells of an experiment are, and when two of them come to the same. Nothing is carried out."""

import re
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import ConfigError, StudentChangedError
from openmic.graph.experiments.carry_out import refuse_other_transcripts
from openmic.graph.experiments.cells import Cell, cells_of
from openmic.graph.experiments.forecast import foreseen
from openmic.graph.experiments.spec import read_experiment
from openmic.graph.runs.provenance import Membership, run_record
from openmic.training.student.fingerprint import KnownFiles, student_files

EXAMPLES = Path(__file__).parents[3] / "examples"
LENGTHS: dict[str, Any] = {name: {"sampling": {"max_tokens": 48}} for name in ("student", "evaluation")}
ARMS: dict[str, Any] = {
    "FT": {"of": "DPO", "version": "imitation"},
    "DPO": {"set": {"training.objective": "dpo"}},
    "SD": {"train_on": "DPO", "set": {"training": {"objective": "sd"}}},
    "best": {"of": "DPO", "version": "imitation", "set": {"evaluation.best_of": 4}},
}


def cells(folder: Path, *overrides: str, arms: dict[str, Any] = ARMS, **values: Any) -> dict[tuple[str, int], Cell]:
    """The cells of an experiment over a few inputs, by arm and seed."""
    inputs = folder / "inputs.txt"
    if not inputs.exists():
        inputs.write_text("\n".join(f"The kettle number {n} broke again this morning." for n in range(24)))
    config = {"inputs": {"path": str(inputs)}, "home": str(folder / "home"), **LENGTHS} | values.pop("config", {})
    spec = {"name": "mine", "config": config, "seeds": [1, 2], "arms": arms, **values}
    return {(cell.arm, cell.seed): cell for cell in cells_of(read_experiment(spec, overrides))}


def contents(found: dict[tuple[str, int], Cell]) -> dict[tuple[str, int], str]:
    return {name: cell.content for name, cell in found.items()}


def test_every_arm_is_there_with_every_seed_after_the_one_it_goes_back_to(tmp_path: Path) -> None:
    found = cells(tmp_path)
    names = list(found)
    assert set(names) == {(arm, seed) for arm in ARMS for seed in (1, 2)}
    assert all(names.index(("DPO", seed)) < names.index(("SD", seed)) for seed in (1, 2))
    kinds = {arm: found[arm, 1].kind for arm in ARMS}
    assert kinds == {"FT": "adapter", "DPO": "campaign", "SD": "train", "best": "evaluate"}
    assert found["SD", 2].config.training.objective == "sd"
    assert found["best", 2].config.evaluation.best_of == 4
    assert found["FT", 1].maker is found["DPO", 1]
    assert len({cell.content for cell in found.values()}) == 8


def test_arms_share_cast_and_references_and_leave_test_inputs_for_the_end(tmp_path: Path) -> None:
    found = cells(tmp_path, seeds=[5, 2])
    configs = [cell.config for cell in found.values()]
    assert {config.cast.simulated.seed for config in configs} == {5}
    assert {config.evaluation.references_seed for config in configs} == {5}
    assert {(config.evaluation.at_end, config.evaluation.critic) for config in configs} == {(False, True)}
    assert {cell.config.seed for cell in found.values() if cell.seed == 2} == {2}
    assert (
        cells(tmp_path, config={"evaluation": {"critic": False, "sampling": {"max_tokens": 48}}})[
            "DPO", 1
        ].config.evaluation.critic
        is False
    )


@pytest.mark.parametrize(
    "change",
    [
        {"overrides": ["home=/tmp/elsewhere"]},
        {"overrides": ["budget.minutes=5"]},
        {"overrides": ["student.pool.max_actors=4"]},
        {"about": "other words", "baseline": "DPO"},
        {"seeds": [1, 2, 3]},
    ],
)
def test_what_decides_nothing_changes_no_cell(tmp_path: Path, change: dict[str, Any]) -> None:
    before = contents(cells(tmp_path))
    after = contents(cells(tmp_path, *change.pop("overrides", []), **change))
    assert {name: after[name] for name in before} == before


def test_a_change_of_one_arm_changes_that_arm_and_those_that_go_back_to_it(tmp_path: Path) -> None:
    before = contents(cells(tmp_path))
    changed = contents(cells(tmp_path, arms=ARMS | {"SD": {"train_on": "DPO", "set": {"training.objective": "kto"}}}))
    assert {arm for (arm, _), content in changed.items() if content not in before.values()} == {"SD"}
    changed = contents(cells(tmp_path, arms=ARMS | {"DPO": {"set": {"training.beta": 0.2}}}))
    assert set(changed.values()).isdisjoint(before.values())


def test_other_inputs_under_the_same_name_are_another_experiment(tmp_path: Path) -> None:
    before = contents(cells(tmp_path))
    (tmp_path / "other").mkdir()
    inputs = tmp_path / "other" / "inputs.txt"
    inputs.write_text((tmp_path / "inputs.txt").read_text())
    assert contents(cells(tmp_path / "other")) == before, "the same inputs elsewhere"
    inputs = tmp_path / "more.txt"
    inputs.write_text((tmp_path / "inputs.txt").read_text() + "\nOne more sentence of the same kind.")
    after = contents(cells(tmp_path, config={"inputs": {"path": str(inputs)}}))
    assert set(after.values()).isdisjoint(before.values())


def test_wrong_keys_of_all_arms_are_told_at_once_with_their_arm(tmp_path: Path) -> None:
    arms = {"a": {"set": {"training.objectiv": "dpo"}}, "b": {"set": {"rounds": -1}}, "c": {"train_on": "b"}}
    with pytest.raises(ConfigError) as caught:
        cells(tmp_path, arms=arms)
    told = str(caught.value).splitlines()
    assert told[0].startswith("arms.a.set: unknown key 'training.objectiv'; did you mean 'training.objective'?")
    assert told[1].startswith("arms.b.set: rounds: ")
    with pytest.raises(ConfigError, match=r"arms\.d\.set: dialogue\.inputs=.*only training, preferences"):
        cells(tmp_path, arms={"a": {}, "d": {"train_on": "a", "set": {"dialogue.inputs": 3}}})


def test_what_arms_share_is_foreseen_once_and_what_is_done_not_at_all(tmp_path: Path) -> None:
    arms = {"one": {}, "other": {"set": {"training.objective": "simpo"}}, "more": {"set": {"imitation.epochs": 3}}}
    found = list(cells(tmp_path, arms=arms, seeds=[1]).values())
    stages = {one["arm"]: set(one["stages"]) for one in foreseen(found)["cells"]}
    assert {"imitate", "collect"} <= stages["one"]
    assert {"imitate", "collect"}.isdisjoint(stages["other"])
    assert {"imitate", "collect"} <= stages["more"]
    less = foreseen(found, frozenset({("more", 1)}))
    assert less["cells"][2]["seconds"] == 0 < less["seconds"] < foreseen(found)["seconds"]


@pytest.mark.parametrize("name", ["paper_table", "paper_table_gpu", "data_and_frequency", "biased_critic"])
def test_the_examples_are_experiments(name: str) -> None:
    read = read_experiment(EXAMPLES / f"{name}.yaml")
    assert read.experiment.measured_over in read.experiment.arms
    found = cells_of(read)
    assert len(found) == len(read.experiment.arms) * 3
    assert {cell.config.evaluation.at_end for cell in found} == {False}


@pytest.mark.parametrize(("held_for", "learned"), [("dpo", "opd"), ("opd", "dpo")])
def test_scored_drafts_and_preferences_are_not_learned_from_one_arm(
    tmp_path: Path, held_for: str, learned: str
) -> None:
    arms = {
        "held": {"set": {"training.objective": held_for}},
        "other": {"train_on": "held", "set": {"training.objective": learned}},
        "same": {"train_on": "held", "set": {"training.epochs": 5}},
        "more": {"train_on": "held", "set": {"training.objective": "sft"}},
    }
    found = cells(tmp_path, arms=arms)
    with pytest.raises(ConfigError, match=f"{learned} learns nothing from the transcripts of arm held, which are held"):
        refuse_other_transcripts(found["other", 1])
    refuse_other_transcripts(found["same", 1])
    refuse_other_transcripts(found["more", 1])


@pytest.mark.parametrize(
    ("where", "values", "told"),
    [
        ("set", {"seed": 4}, "set: seed: the experiment's `seeds` say it"),
        ("arm", {"seed": 4}, "arms.DPO.set: seed: the experiment's `seeds` say it"),
        (
            "arm",
            {"evaluation": {"at_end": True}},
            "DPO.set: evaluation.at_end: an experiment looks at test inputs",
        ),
        ("arm", {"store": "other.db"}, "arms.DPO.set: store: all arms have one store"),
        ("--set", {"seed": 4}, "--set: seed: the experiment's `seeds` say it"),
    ],
)
def test_what_an_experiment_says_itself_is_refused(
    tmp_path: Path, where: str, values: dict[str, Any], told: str
) -> None:
    arms = {"DPO": {"set": values if where == "arm" else {}}}
    overrides = [f"{key}={value}" for key, value in values.items()] if where == "--set" else []
    with pytest.raises(ConfigError, match=re.escape(told)):
        cells(tmp_path, *overrides, arms=arms, **({"set": values} if where == "set" else {}))


def test_a_seed_of_the_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMIC_SEED", "4")
    with pytest.raises(ConfigError, match="the experiment's `seeds` say it"):
        cells(tmp_path)


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ({"of": "DPO", "version": 99}, "arms.other.version: DPO has no v99 with rounds=1, but v2 at most"),
        ({"train_on": "none", "set": {"training.objective": "dpo"}}, "arms.other.train_on: none has no dialogues"),
    ],
)
def test_an_adapter_or_transcripts_that_no_arm_makes_are_refused(
    tmp_path: Path, arm: dict[str, Any], told: str
) -> None:
    arms = {"DPO": {"set": {"rounds": 1}}, "none": {"set": {"rounds": 0}}, "other": arm}
    with pytest.raises(ConfigError, match=re.escape(told)):
        cells(tmp_path, arms=arms)


@pytest.mark.parametrize("section", ["student", "evaluation"])
def test_lengths_that_each_arm_would_settle_for_itself_are_refused(tmp_path: Path, section: str) -> None:
    set_by_arm: dict[str, Any] = {"DPO": {"set": {f"{section}.sampling.max_tokens": 0}}}
    told = rf"arms\.DPO: {section}\.sampling\.max_tokens would follow .* set it for all, beside `seeds`"
    with pytest.raises(ConfigError, match=told):
        cells(tmp_path, arms=set_by_arm)


def test_a_cells_weights_are_those_of_the_moment_it_was_worked_out(tmp_path: Path) -> None:
    student = tmp_path / "student"
    student.mkdir()
    (student / "config.json").write_text("{}")
    lengths = {"sampling": {"max_tokens": 48}}
    found = cells(tmp_path, config={"student": {"model": str(student), **lengths}, "evaluation": lengths})
    before = student_files(found["DPO", 1].config.student)
    assert {tuple(cell.student_files.items()) for cell in found.values()} == {tuple(before.items())}
    (student / "config.json").write_text('{"changed": 1}')
    cell = found["SD", 1]
    member = Membership("mine", cell.arm, cell.content, cell.student_files)
    row = run_record(
        "RUN1", cell.config, cell.task, simulated=True, plugs={}, home=tmp_path, arguments=[], member=member
    )
    assert (row.student_files, row.experiment, row.arm, row.content) == (before, "mine", "SD", cell.content)
    with pytest.raises(StudentChangedError, match=r"config\.json is another"):
        KnownFiles(row.id, row.student_files).check(cell.config.student)
