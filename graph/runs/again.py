"""Making adapters anew that were lost or altered: all they were made of is in the store.

Nothing is generated and nobody is asked. What was said with an adapter, and how it did, stays as it is.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count

from ...core.config import saved_config
from ...core.errors import AdapterError, AlteredAdapterError, ConfigError
from ...core.records import AdapterRef
from ...store import Adapter, Run, Store, Training
from ...store.liveness import run_folder
from ...store.writes import Write, updating
from ...training.adapters.adapters import committed_adapter, made_adapter, verify_adapter
from ...training.adapters.storage import join_uri
from ...training.loop.checkpoints import remove_checkpoint
from ...training.trainer.actor import TrainingJob
from ..context.opening import open_run_context
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..context.run_context import RunContext
from ..preflight.cluster import checked_session
from ..stages.fine_tune import carry_out, training_job
from ..training_data.assemble import PhaseData, consumed_data, demonstration_examples, feedback_examples
from .execution import locked
from .objects import check_objects


@dataclass(frozen=True, slots=True)
class Remade:
    """An adapter that was made anew."""

    version: int
    place: str
    """Its folder, or its address in remote storage."""
    same: bool
    """Whether every byte is as it was."""


def train_again(
    store: Store, run: Run, version: int | None, progress: Progress, *, plugs: Plugs | None = None
) -> list[Remade]:
    """Make one adapter of a run anew, or all whose files are missing or altered. Those that are whole are left alone.

    Args:
        store: Open for writing.
        run: The run that made it.
        version: Which; None makes all that need it, in their order.
        progress: Where to show the trainings.
        plugs: Python objects that cannot be imported, such as an objective.

    Raises:
        ConfigError: the run made no such adapter, or another process is at it.
        AdapterError: what it began from is itself missing or altered, as is one that another run made.
        TrainingError: the training failed.
    """
    rows = [row for row in store.select(Adapter, run_id=run.id, order_by="version") if row.uri is not None]
    makers = {row.version: _maker(store, row) for row in rows}
    own = [row for row in rows if makers[row.version] == run.id]
    meant = own if version is None else [_one_of(own, run, version, makers)]
    broken = [row for row in meant if not _is_whole(store, row)]
    begun_from = {row.parent_version for row in broken}
    _refuse_lost(store, run, [row for row in rows if row not in own and (version is None or row.version in begun_from)])
    if not broken:
        return []
    config, plugs = saved_config(run), (plugs or Plugs()).recall(run)
    check_objects(store, run, config, plugs, roles=(), engine=False, scorers=False)
    done: list[Remade] = []

    async def train() -> None:
        async with open_run_context(store, run, progress, plugs=plugs, roles=()) as context:
            done.extend([await make_anew(context, row) for row in broken])

    with checked_session(config, store.address, run_folder(store, run), students=False):
        locked(store, run, train)
    return done


def _maker(store: Store, row: Adapter) -> str:
    """The run that made an adapter, and so can make it anew."""
    training = store.get(Training, row.training_id or "")
    return row.run_id if training is None else str(training.metrics.get("taken_from", training.run_id))


def _one_of(own: Sequence[Adapter], run: Run, version: int, makers: Mapping[int, str]) -> Adapter:
    if found := [row for row in own if row.version == version]:
        return found[0]
    if (maker := makers.get(version)) is not None:
        raise ConfigError(f"adapter v{version} was made by run {maker}: `openmic train --again {maker}` makes it anew")
    made = [row.version for row in own] or "none"
    raise ConfigError(f"run {run.id} made no adapter v{version}; it made {made}")


def _refuse_lost(store: Store, run: Run, borrowed: Sequence[Adapter]) -> None:
    """Refuse to go on where adapters that other runs made are missing or altered: those runs alone can make them."""
    by_maker: dict[str, list[str]] = {}
    for row in borrowed:
        if not _is_whole(store, row):
            by_maker.setdefault(_maker(store, row), []).append(f"v{row.version}")
    if not by_maker:
        return
    told = "; ".join(
        f"{', '.join(versions)} of run {maker}, "
        + (f"where `openmic train --again {maker}` makes it anew" if there else "which is not in the store any more")
        for maker, versions in by_maker.items()
        for there in [store.get(Run, maker) is not None]
    )
    raise AdapterError(f"run {run.id} works with adapters that are missing or altered: {told}")


def _is_whole(store: Store, row: Adapter) -> bool:
    try:
        verify_adapter(AdapterRef(row.version, store.located(row.uri or ""), row.sha256))
    except AlteredAdapterError:
        return False
    return True


async def make_anew(context: RunContext, row: Adapter) -> Remade:
    """Make an adapter of the run anew; all rows that have it name the new one, or none.

    Raises:
        AdapterError: what it began from is missing or altered, or the storage cannot be read.
        TrainingError: the training failed.
    """
    store = context.store
    training = store.get(Training, row.training_id or "")
    assert training is not None
    parent = context.adapter(training.parent_version)
    if parent.version:
        try:
            verify_adapter(parent)
        except AdapterError as error:
            raise AdapterError(f"adapter v{row.version} begins from v{parent.version}, and {error}") from None
    imitates = training.stage == "imitation"
    settings = context.config.imitation if imitates else context.config.training
    job = training_job(context, training, settings, _phases(context, training))
    root, ref = await asyncio.to_thread(_place, context, row, job)
    if ref is None:
        ref, _ = await carry_out(context, training, replace(job, adapters=root))
    remove_checkpoint(root, row.version)
    same = ref.sha256 == row.sha256
    place = store.recorded(str(ref.uri))
    changes: list[Write] = []
    for other in store.select(Adapter, uri=row.uri, sha256=row.sha256):  # derived runs have the same files
        why = {} if same else {"reason": f"{other.reason or ''}; made anew later, with other bytes".removeprefix("; ")}
        changes.append(updating(Adapter, other.id, uri=place, sha256=ref.sha256, **why))
    await asyncio.to_thread(store.write, *changes)
    return Remade(row.version, str(ref.uri), same)


def _place(context: RunContext, row: Adapter, job: TrainingJob) -> tuple[str, AdapterRef | None]:
    """Where an adapter is made anew, and what a process that was killed has made there already.

    It is its own place where nothing lies there; an altered one may be somebody's work, and is left alone. Else it is
    named by the training, so that the next process finds adapter and checkpoint.
    """
    if committed_adapter(context.adapters_root, row.version) is None:
        return context.adapters_root, None
    for number in count(1):
        root = join_uri(context.adapters_root, "again", job.key if number == 1 else f"{job.key}-{number}")
        if committed_adapter(root, row.version) is None:
            return root, None
        with suppress(AlteredAdapterError):
            ref = made_adapter(root, row.version, context.run.id, job.key)
            if ref is not None and context.store.recorded(str(ref.uri)) != row.uri:
                verify_adapter(ref)
                return root, ref
    raise AssertionError("there is always another place")


def _phases(context: RunContext, training: Training) -> Sequence[PhaseData]:
    data = consumed_data(context, training)
    if training.stage == "imitation":
        return [PhaseData("sft", tuple(demonstration_examples(context, list(data.demonstrations))))]
    return feedback_examples(context, training.objective, data)
