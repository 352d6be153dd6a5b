"""Training from stored transcripts alone: nothing is generated, and nobody is asked.

The student starts where the campaign's feedback started from, the imitation adapter, or any other version of it.
"""

import asyncio

from ...core.config import RunConfig, saved_config
from ...core.errors import ConfigError, TrainingError
from ...core.ids import derive_id
from ...store import Adapter, Run, Store, Training
from ...store.liveness import run_folder
from ...store.schema import now
from ...training.local_ray import runs_here
from ...training.student.device import check_device
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..model_card import write_cards
from ..preflight.cluster import checked_session
from ..stages.fine_tune import fine_tune_on_feedback
from ..stages.last_words import nothing_to_learn_from
from .derive import begin_derived, derived_config, recalled
from .execution import execute
from .objects import check_objects
from .opened import opened
from .provenance import Membership


def start_training(
    store: Store,
    source: Run,
    *,
    objective: str | None,
    overrides: list[str],
    start: int | None,
    arguments: list[str],
    progress: Progress,
    plugs: Plugs | None = None,
    member: Membership | None = None,
) -> Run:
    """Train an adapter from a run's transcripts, as a run of its own; returns it finished.

    Args:
        store: Open for writing.
        source: The run whose preferences are learned from: a campaign, or one that judged a campaign again.
        objective: What to train with; None takes the configured one.
        overrides: `training.…=…` and `preferences.…=…`.
        start: The campaign's adapter version to start from; None takes the one after imitation.
        arguments: The command line as it was typed.
        progress: Where to show the training.
        plugs: Python objects that were given, such as an objective.
        member: Its place in an experiment.

    Raises:
        ConfigError: an override is wrong, there is no such version, or the cluster cannot be joined or cannot carry out
            the training; then nothing was recorded.
        TrainingError: the run holds nothing to train on.
    """
    chosen = [f"training.objective={objective}"] if objective is not None else []
    another = objective not in {None, source.config["training"]["objective"]}
    kwargs = ["training.objective_kwargs={}"] if another else []  # those there are were for the one before
    config = derived_config("train", saved_config(source), [*kwargs, *overrides, *chosen])
    plugs = recalled(source, config, plugs)
    check_device(config.student.device, "student.device", here=runs_here())
    _check_objects(store, source, config, plugs)
    campaign = store.campaign_of(source)
    parent = _parent(store, campaign, start)
    simulated = bool(source.cast["simulated"])
    with checked_session(config, store.address, run_folder(store, source).parent, students=False):
        run = begin_derived(
            store,
            "train",
            source,
            config,
            plugs=plugs,
            simulated=simulated,
            arguments=arguments,
            adapters=store.select(Adapter, run_id=campaign.id, version=sorted({0, parent})),
            member=member,
        )
        return carry_out_training(store, run, plugs, progress)


def resume_training(
    store: Store, run: Run, progress: Progress, *, plugs: Plugs | None = None, cluster: str | None = None
) -> Run:
    """Go on with a training that was interrupted, on the Ray cluster at this address, as for `ray_session`."""
    config, plugs = saved_config(run), plugs or Plugs()
    _check_objects(store, run, config, plugs)
    with checked_session(config, store.address, run_folder(store, run), address=cluster, students=False):
        return carry_out_training(store, run, plugs, progress)


def _check_objects(store: Store, run: Run, config: RunConfig, plugs: Plugs) -> None:
    check_objects(store, run, config, plugs, roles=(), engine=False, scorers=False)


def carry_out_training(store: Store, run: Run, plugs: Plugs, progress: Progress) -> Run:
    """Train as a run was recorded to: from its source's preferences, or from pairs of its own.

    Raises:
        TrainingError: nothing is left to train on.
    """
    learned = run.source_run_id or run.id
    whose = "pairs that were given" if run.source_run_id is None else f"the transcripts of run {run.source_run_id}"

    async def train(run: Run) -> None:
        async with opened(store, run, progress, plugs=plugs, roles=()) as context:
            own = [row.id for row in store.select(Training, run_id=run.id)]
            inherited = [row for row in store.select(Adapter, run_id=run.id) if row.training_id not in own]
            parent = max(row.version for row in inherited)
            version = await fine_tune_on_feedback(context, 1, parent, source_run=learned)
        if version is None:
            source = store.get(Run, learned)
            assert source is not None
            # What decided was this run's configuration, over the source's rows.
            looked_at = Run(**source.model_dump() | {"config": run.config, "plugs": run.plugs})
            raise TrainingError(f"run {source.id} cannot be learned from: {nothing_to_learn_from(store, looked_at)}")
        store.update(
            Adapter,
            derive_id(run.id, "adapter", version),
            status="promoted",
            reason=f"trained from {whose}; not evaluated",
            decided_at=now(),
        )
        await asyncio.to_thread(write_cards, store, run, saved_config(run), progress.print)

    return execute(store, run.id, train)


def _parent(store: Store, campaign: Run, start: int | None) -> int:
    rows = store.select(Adapter, run_id=campaign.id, order_by="version")
    if start is None:
        imitation = [row.version for row in rows if row.stage == "imitation"]
        if not imitation:
            raise ConfigError(f"run {campaign.id} has no imitation adapter to start from; finish it first")
        return imitation[0]
    if start not in {row.version for row in rows}:
        raise ConfigError(f"run {campaign.id} has no adapter version {start}; it has {[row.version for row in rows]}")
    return start
