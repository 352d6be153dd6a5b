"""Judging a run's adapters on held-out inputs after the fact: those that no report of it has judged yet."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from ...core.config import saved_config
from ...core.errors import ConfigError
from ...core.records import Split
from ...store import Adapter, Run, Store
from ...store.liveness import run_folder
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..context.seats import examiners
from ..model_card import write_cards
from ..preflight.checks import check_cast
from ..preflight.cluster import checked_session
from ..stages.evaluate import evaluate
from .execution import locked
from .objects import check_objects
from .opened import opened


def evaluate_run(
    store: Store,
    run: Run,
    versions: Collection[int] | None,
    progress: Progress,
    *,
    plugs: Plugs | None = None,
    ask: bool = True,
) -> None:
    """Judge adapter versions of a run on its test inputs; those that were judged are left alone.

    Args:
        store: Open for writing.
        run: The run; of one that goes back to a campaign, inputs and the teacher's texts are the campaign's.
        versions: Which; None judges all.
        progress: Where to show it.
        plugs: Python objects that cannot be imported, such as a judge.
        ask: Whether the judge's endpoint is asked beforehand whether it answers.

    Raises:
        ConfigError: the run has no such version, or another process is at it.
        EndpointError: not one output could be judged.
    """
    known = [row.version for row in store.select(Adapter, run_id=run.id, order_by="version")]
    wanted = known if versions is None else _several(versions)
    missing = [version for version in wanted if version not in known]
    if missing or not known:
        raise ConfigError(f"run {run.id} has no adapter version {missing or 'at all'}; it has {known}")
    config, plugs = saved_config(run), (plugs or Plugs()).recall(run)
    roles = examiners(config.evaluation)
    check_objects(store, run, config, plugs, roles=roles, objective=False, ask=ask)
    check_cast(config, plugs, roles=roles, ask=ask)

    async def judge_all() -> None:
        async with opened(store, run, progress, plugs=plugs, roles=roles) as context:
            for version in wanted:
                await evaluate(context, version, Split.TEST)
            await asyncio.to_thread(write_cards, store, run, config, progress.print)

    with checked_session(config, store.address, run_folder(store, run)):
        locked(store, run, judge_all)


def _several(versions: Any) -> list[int]:
    """Versions that were named, in order; a ConfigError where they are none."""
    if isinstance(versions, str | Mapping) or not isinstance(versions, Collection):
        raise ConfigError(f"versions: {versions!r:.80} is no list of version numbers; give one, such as [2]")
    if not versions:
        raise ConfigError("versions: none was named; give some, or leave it out for all")
    wrong = [version for version in versions if not isinstance(version, int) or isinstance(version, bool)]
    if wrong:
        raise ConfigError(f"versions: {wrong[0]!r:.80} is no version number; give numbers, such as [2]")
    return sorted(set(versions))
