"""Judging a run's adapters on held-out inputs after the fact: those that no report of it has judged yet."""

from collections.abc import Collection
from contextlib import AsyncExitStack
from pathlib import Path

from ...core.config import RunConfig
from ...core.errors import ConfigError
from ...core.records import Split
from ...store import Adapter, Run, Store
from ..context.models import open_models
from ..context.progress import Progress
from ..context.run_context import RunContext
from ..preflight.checks import check_cast
from ..preflight.cluster import checked_session
from ..stages.evaluate import evaluate
from .execution import locked
from .source import campaign_of
from .start import examples_of, open_context, prepare_weights, task_of


def evaluate_run(store: Store, run: Run, versions: Collection[int] | None, progress: Progress) -> None:
    """Judge adapter versions of a run on its test inputs; those that were judged are left alone.

    Args:
        store: Open for writing.
        run: The run; of one that goes back to a campaign, inputs and the teacher's texts are the campaign's.
        versions: Which; None judges all.
        progress: Where to show it.

    Raises:
        ConfigError: the run has no such version, or another process is at it.
        EndpointError: not one output could be judged.
    """
    known = [row.version for row in store.select(Adapter, run_id=run.id, order_by="version")]
    wanted = known if versions is None else sorted(versions)
    missing = [version for version in wanted if version not in known]
    if missing or not known:
        raise ConfigError(f"run {run.id} has no adapter version {missing or 'at all'}; it has {known}")
    config = RunConfig.model_validate(run.config)
    task, origin = task_of(run, config), campaign_of(store, run)
    check_cast(config, roles=("judge",))

    async def judge_all() -> None:
        prepare_weights(config, progress)
        async with AsyncExitStack() as stack:
            log = Path(run.home) / "simulated-cast.jsonl"
            clients = await stack.enter_async_context(open_models(config.cast, config.seed, log, roles=("judge",)))
            stack.enter_context(checked_session(config, store.address, Path(run.home)))
            context: RunContext = open_context(
                stack, store, run, config, task, examples_of(store, origin.id), clients, progress, origin=origin.id
            )
            for version in wanted:
                await evaluate(context, version, Split.TEST)

    locked(store, run, judge_all)
