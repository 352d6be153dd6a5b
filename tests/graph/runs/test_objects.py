"""A run that is taken up has its objects again, tried, and what was changed of them is on record."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.task import load_task
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError, StudentChangedError
from openmic.core.records import Role
from openmic.graph.context.opening import open_run_context
from openmic.graph.context.plugs import Plugs
from openmic.graph.runs.evaluate import evaluate_run
from openmic.graph.runs.objects import check_objects
from openmic.graph.runs.rejudge import start_rejudging
from openmic.store import Adapter, ExampleRow, Run, RunExample, Store
from openmic.training.student.fingerprint import student_files

from ...store import rows
from ...training.objectives.own_objectives import Margin, Raising
from ..conftest import Heard, config_of, example_of, run_row

EXAMPLE = example_of("The kettle broke.")
SCORER = {"use": "length"}


def run_in(store: Store, home: Path, config: RunConfig, plugs: dict[str, Any] | None = None, **values: Any) -> Run:
    run = run_row(config, home, task_hash=load_task("humor").hash, plugs=plugs or {}, **values)
    identity = run.id
    store.add(run, ExampleRow(id=EXAMPLE.id, text=EXAMPLE.text, fields={}))
    store.add(RunExample(run_id=identity, example_id=EXAMPLE.id, position=0, split=EXAMPLE.split))
    found = store.get(Run, identity)
    assert found is not None
    return found


def _adapter(run: Run) -> Adapter:
    return Adapter(id="A", run_id=run.id, version=1, stage="imitation", round=0, base_model="tiny", status="promoted")


def failing(_input: Any, outputs: Sequence[str]) -> list[float]:
    raise ValueError(f"{len(outputs)} are too many")


def test_each_object_that_is_needed_is_tried(store: Store, tmp_path: Path) -> None:
    mine = f"{Margin.__module__}:Margin"
    config = config_of(cast={"critic": SCORER, "judge": SCORER}, training={"objective": mine})
    run = run_in(store, tmp_path, config)
    check_objects(store, run, config, Plugs(), engine=False)
    for key, given in (("training.objective", Raising()), ("cast.critic", failing), ("cast.judge", failing)):
        with pytest.raises(ConfigError, match=f"^{key}.*tried on"):
            check_objects(store, run, config, Plugs({key: given}), engine=False)
    # What is not needed is left alone.
    check_objects(store, run, config, Plugs({"cast.critic": failing}), roles=("judge",), objective=False, engine=False)


def test_a_judge_that_is_the_critic_is_tried_once(store: Store, tmp_path: Path) -> None:
    asked: list[int] = []

    class Comparing:
        def compare(self, source: Any, first: str, second: str) -> float:
            asked.append(1)
            return 0.5

    def tried(roles: Sequence[Role]) -> int:
        asked.clear()
        check_objects(
            store, run, config, Plugs({"cast.critic": Comparing()}), roles=roles, objective=False, engine=False
        )
        return len(asked)

    config = config_of(cast={"critic": {"use": "my:Comparing"}})
    run = run_in(store, tmp_path, config)
    assert tried(("critic", "judge")) == tried(("critic",)) == tried(("judge",)) > 0


def test_a_judge_that_would_not_be_asked_is_refused_before_anything_begins(store: Store, tmp_path: Path) -> None:
    run = run_in(store, tmp_path, config_of(cast={"judge": {"model": "gpt-4.1"}}))
    store.add(_adapter(run))
    with pytest.raises(ConfigError, match=r"cast\.judge: .* would never be asked: gpt-4\.1 plays this role"):
        evaluate_run(store, run, [1], Heard(), plugs=Plugs({"cast.judge": failing}))


@pytest.mark.parametrize("versions", [1, "1", [], ["1"], [True], {1: 2}])
def test_versions_are_a_list_of_numbers(store: Store, tmp_path: Path, versions: Any) -> None:
    run = run_in(store, tmp_path, config_of())
    store.add(_adapter(run))
    with pytest.raises(ConfigError, match=r"^versions: "):
        evaluate_run(store, run, versions, Heard())


@pytest.mark.parametrize(
    ("critic", "objects", "why"),
    [
        ("{use: lenght}", {}, "there is no 'lenght'"),
        ("{use: 'mine:failing'}", {"cast.critic": failing}, "tried on the first input: scorer failing failed"),
    ],
)
def test_a_critic_that_cannot_judge_leaves_no_run_behind(
    critic: str, objects: dict[str, Any], why: str, store: Store, tmp_path: Path
) -> None:
    run = run_in(store, tmp_path, config_of())
    store.add(rows.dialogue(example_id=EXAMPLE.id), *map(rows.turn, range(4)))
    store.add(rows.verdict())
    with pytest.raises(ConfigError, match=why):
        start_rejudging(
            store,
            run,
            overrides=[f"cast.critic={critic}"],
            arguments=[],
            progress=Heard(),
            plugs=Plugs(objects),
        )
    assert store.count(Run) == 1


def test_what_was_changed_is_told_and_recorded_with_what_it_was(store: Store, tmp_path: Path) -> None:
    mine = f"{Margin.__module__}:Margin"
    config = config_of(cast={"teacher": SCORER, "critic": SCORER, "judge": SCORER}, training={"objective": mine})
    before = {
        "training.objective": {"use": mine, "kwargs": {}, "source_hash": "old", "importable": True},
        "cast.critic": {"use": "length", "kwargs": {}, "source_hash": "older", "importable": True},
        "task.validity.functions.0": {"use": "a:b", "kwargs": {}, "source_hash": "same", "importable": True},
    }
    run, plugs, notes = run_in(store, tmp_path, config, before), Plugs(), Heard()
    plugs.recall(run)
    check_objects(store, run, config, plugs, roles=("critic",), engine=False)

    async def opened() -> None:
        async with open_run_context(store, run, notes, plugs=plugs, roles=("critic",)):
            pass

    asyncio.run(opened())
    assert [line.partition(":")[2].partition(":")[0].strip() for line in notes.lines] == [
        "cast.critic",
        "training.objective",
    ]
    after = store.get(Run, run.id)
    assert after is not None
    for key, old in (("training.objective", "old"), ("cast.critic", "older")):
        assert after.plugs[key]["earlier_hashes"] == [old]
        assert len(after.plugs[key]["source_hash"]) == 64
    assert after.plugs["task.validity.functions.0"] == before["task.validity.functions.0"]


def test_weights_that_were_changed_are_refused_where_the_student_is_needed(store: Store, tmp_path: Path) -> None:
    student = tmp_path / "student"
    student.mkdir()
    (student / "model.safetensors").write_bytes(b"one")
    config = config_of(student={"model": str(student)}, cast={"critic": SCORER, "judge": SCORER})
    run = run_in(store, tmp_path, config, student_files=student_files(config.student))
    (student / "model.safetensors").write_bytes(b"another")
    with pytest.raises(StudentChangedError, match=rf"that run {run.id} began with: model.safetensors is another; put"):
        check_objects(store, run, config, Plugs(), roles=(), scorers=False)
    # Judging what is stored needs no student, and another one that was named is another matter.
    check_objects(store, run, config, Plugs(), roles=(), objective=False, engine=False, scorers=False)
    other = config_of(student={"model": str(tmp_path)}, cast={"critic": SCORER, "judge": SCORER})
    check_objects(store, run, other, Plugs(), roles=(), engine=False, scorers=False)
