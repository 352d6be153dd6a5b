"""Runs over stored transcripts: what they take over of the objects that the campaign was given, and what they leave."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError, EndpointError, StoreError, TrainingError
from openmic.core.plugs import Plug, describe_object
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.progress import Silent
from openmic.graph.runs.derive import begin_derived, derived_config, recalled
from openmic.graph.runs.examine import start_examination
from openmic.graph.runs.resume import resume_any
from openmic.graph.runs.retrain import start_training
from openmic.run_handle import Run as Handle
from openmic.store import Adapter, Run, Store

from ...store import rows
from ...training.objectives.own_objectives import Margin
from ..conftest import config_of
from .test_objects import EXAMPLE, run_in

MARGIN = f"{Margin.__module__}:Margin"
GONE = {"use": "my:Critic", "kwargs": {}, "source_hash": "s", "importable": False}


class NoRayError(ConfigError):
    """Stands for a cluster that cannot be joined."""


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise NoRayError

    monkeypatch.setattr("openmic.graph.runs.retrain.checked_session", refused)


@pytest.fixture
def campaign(store: Store, tmp_path: Path) -> Run:
    """One that was given a critic and an objective as objects, which cannot be imported again."""
    config = config_of(cast={"critic": {"use": "my:Critic"}}, training={"objective": MARGIN})
    plugs = {"cast.critic": GONE, "training.objective": describe_object(Margin(3.0))}
    run = run_in(store, tmp_path / "runs" / "RUN1", config, plugs)
    store.add(
        Adapter(id="A", run_id=run.id, version=1, stage="imitation", round=0, base_model="tiny", status="promoted")
    )
    return run


@pytest.fixture
def trainable(store: Store, campaign: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """One with nothing of its own in Python, to be trained from; no Ray is started for it."""

    @contextmanager
    def here(*_: Any, **__: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr("openmic.graph.runs.retrain.checked_session", here)
    store.update(Run, campaign.id, plugs={}, config=config_of().model_dump(mode="json"))
    return store.resolve_run(campaign.id)


@pytest.mark.parametrize(
    ("kind", "override", "key", "kept"),
    [
        ("rejudge", "cast.critic.margin=0.1", "cast.critic", True),
        ("rejudge", "cast.simulated.flip_rate=1.0", "cast.critic", True),
        ("rejudge", "cast={critic: {margin: 0.1}}", "cast.critic", True),
        ("rejudge", "cast={critic: {model: m}}", "cast.critic", False),
        ("rejudge", "cast.critic={use: length}", "cast.critic", False),
        ("rejudge", "cast.critic={use: 'my:Critic', kwargs: {strict: true}}", "cast.critic", False),
        ("rejudge", "cast.critic.kwargs={strict: true}", "cast.critic", False),
        ("train", "training.epochs=1", "training.objective", True),
        ("train", "training.objective=dpo", "training.objective", False),
        ("train", "training={objective: dpo}", "training.objective", False),
        ("train", "training.objective_kwargs={margin: 2.0}", "training.objective", False),
    ],
)
def test_an_object_is_forgotten_where_another_takes_its_place(
    campaign: Run, kind: Any, override: str, key: str, kept: bool
) -> None:
    plugs = recalled(campaign, derived_config(kind, RunConfig.model_validate(campaign.config), [override]), None)
    assert (key in plugs.records) is kept
    assert len(plugs.records) == 1 + kept


def test_an_object_that_cannot_be_had_again_is_asked_for(campaign: Run) -> None:
    config = derived_config("rejudge", RunConfig.model_validate(campaign.config), ["cast.critic.margin=0.1"])
    plugs = recalled(campaign, config, None)
    with pytest.raises(ConfigError, match=r"cannot be imported again: cast\.critic \(my:Critic\); give it again"):
        plugs.load("cast.critic", Plug(use="my:Critic"))


@pytest.mark.usefixtures("no_ray")
def test_a_training_is_resumed_without_the_critic_it_does_not_ask(store: Store, campaign: Run) -> None:
    config = RunConfig.model_validate(campaign.config | {"training": {"objective": "dpo"}})
    values = campaign.model_dump() | {"config": config.model_dump(mode="json"), "plugs": {"cast.critic": GONE}}
    store.add(Run(**values | {"id": "RUN2", "kind": "train", "source_run_id": campaign.id, "status": "interrupted"}))
    with pytest.raises(NoRayError):
        resume_any(store, "RUN2", Silent())


def test_a_rejudging_is_resumed_without_the_teacher_it_does_not_ask(store: Store, campaign: Run) -> None:
    config = config_of(cast={"teacher": {"use": "my:Teacher"}, "critic": {"use": "length"}})
    values = campaign.model_dump() | {"config": config.model_dump(mode="json"), "plugs": {"cast.teacher": GONE}}
    store.add(Run(**values | {"id": "RUN2", "kind": "rejudge", "source_run_id": campaign.id, "status": "interrupted"}))
    with pytest.raises(EndpointError, match="none was asked"):
        resume_any(store, "RUN2", Silent())


@pytest.mark.usefixtures("no_ray")
def test_a_training_that_no_cluster_takes_leaves_no_run(store: Store, campaign: Run) -> None:
    with pytest.raises(NoRayError):
        start_training(
            store, campaign, objective="dpo", overrides=[], start=None, arguments=[], progress=Silent(), plugs=Plugs()
        )
    assert store.count(Run) == 1
    assert {folder.name for folder in Path(campaign.home).parent.glob("*")} <= {"RUN1"}


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_run_begins_with_its_adapters_or_not_at_all(store: Store, trainable: Run, kind: str) -> None:
    with store.writing_alone(), store.engine.begin() as connection:  # what ends a process there, ends it for good
        connection.exec_driver_sql(
            "CREATE TRIGGER end_here BEFORE INSERT ON adapter BEGIN SELECT RAISE(ABORT, 'ended here'); END"
        )
    begin: Any = {
        "train": partial(start_training, objective="dpo", start=None),
        "evaluate": partial(start_examination, version=1, ask=False),
    }
    with pytest.raises(StoreError, match="ended here"):
        begin[kind](store, trainable, overrides=[], arguments=[], progress=Silent())
    assert [run.id for run in store.select(Run)] == [trainable.id]


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(
    "objective",
    [
        {"use": "simpo", "kwargs": {}},
        {"use": MARGIN, "kwargs": {"margin": 2.0}},
        Plug(use=MARGIN, kwargs={"margin": 2.0}),
        Margin(2.0),
        "dpo",
    ],
)
def test_an_objective_is_given_as_for_a_campaign(store: Store, campaign: Run, objective: Any) -> None:
    with pytest.raises(NoRayError):
        Handle(campaign, store.address).train(objective, progress=False)


@pytest.mark.usefixtures("no_ray")
def test_arguments_that_an_objective_does_not_take_are_refused(store: Store, campaign: Run) -> None:
    store.update(Run, campaign.id, plugs={})
    with pytest.raises(ConfigError, match=r"does not take these kwargs.*nonsense"):
        Handle(campaign, store.address).train({"use": MARGIN, "kwargs": {"nonsense": 2.0}}, progress=False)


@pytest.mark.parametrize(("overrides", "same"), [([], True), (["student.model={other}"], False)])
def test_the_same_student_is_the_files_that_the_source_began_with(
    store: Store, campaign: Run, tmp_path: Path, overrides: list[str], same: bool
) -> None:
    (tmp_path / "other").mkdir()
    store.update(Run, campaign.id, plugs={}, student_files={"model.safetensors": "as it was"})
    source = store.resolve_run(campaign.id)
    lines = [line.format(other=tmp_path / "other") for line in overrides]
    config = derived_config("train", config_of(), lines)
    begun = begin_derived(store, "train", source, config, plugs=Plugs(), simulated=True, arguments=[])
    assert begun.student_files == (source.student_files if same else {})


def test_what_a_training_could_not_learn_from_is_told_by_its_own_settings(store: Store, trainable: Run) -> None:
    store.add(rows.dialogue(example_id=EXAMPLE.id), rows.turn(0), rows.turn(1))
    store.add(rows.preference(example_id=EXAMPLE.id))
    with pytest.raises(TrainingError, match=re.escape("widen preferences.length_ratio")):
        start_training(
            store,
            trainable,
            objective=None,
            overrides=["preferences.length_ratio=[1, 1.05]"],
            start=None,
            arguments=[],
            progress=Silent(),
        )
