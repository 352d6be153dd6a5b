"""Starting a campaign, and going on with one that was interrupted."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from langchain_core.runnables import RunnableConfig

from ...agents.cast import Critic, Judge, StudentAgent, Teacher
from ...agents.endpoints.client import OpenAIClient
from ...agents.tasks.task import Task, load_task
from ...core.config import RunConfig
from ...core.errors import ConfigError
from ...core.records import Example
from ...store import ExampleRow, Run, RunExample, Store
from ...training.pool.pool import StudentPool
from ...training.student.packaged_weights import PACKAGED, packaged_folder
from ...training.trainer.trainer import Trainer
from ..campaign import CampaignState, build_campaign_graph
from ..context.models import model_names, open_models
from ..context.progress import Progress
from ..context.reply_cache import ReplyCache
from ..context.run_context import RunContext
from ..context.seats import Seat
from ..context.train_gate import TrainGate, room_for_both
from ..preflight.checks import Checked, check_cast
from ..preflight.cluster import checked_session
from .checkpoints import open_checkpoints
from .execution import execute
from .provenance import run_record, template_rows


def start_run(
    run_id: str,
    config: RunConfig,
    checked: Checked,
    arguments: Sequence[str],
    progress: Progress,
    *,
    cluster: str | None = None,
) -> Run:
    """Record a new run under `run_id` and carry it out; returns it finished.

    `checked` is what `preflight.check` returned for the same configuration, `cluster` the address of the Ray cluster to
    use, as for `ray_session`.

    Raises:
        ConfigError: the cluster cannot be joined or cannot carry out the run; then nothing was recorded.
        InterruptedRunError: Ctrl-C; everything done is stored.
        OpenmicError: the run failed; it can be resumed once the cause is mended.
    """
    home = (config.home / "runs" / run_id).absolute()
    with checked_session(config, config.store_url, home, address=cluster), Store.open(config.store_url) as store:
        home.mkdir(parents=True)
        run = run_record(run_id, config, checked.task, simulated=checked.simulated, home=home, arguments=arguments)
        store.add_new(*template_rows(checked.task), *(ExampleRow(id=e.id, text=e.text) for e in checked.examples))
        store.add(
            run,
            *(
                RunExample(run_id=run_id, example_id=example.id, position=position, split=example.split)
                for position, example in enumerate(checked.examples)
            ),
        )
        return _carry_out(store, run_id, config, checked.task, checked.examples, progress)


def resume_run(run: Run, store: Store, progress: Progress, *, cluster: str | None = None) -> Run:
    """Go on with a campaign from what the store holds; a finished one is returned as it is.

    Raises:
        ConfigError: the task's file was changed since the run began, another process is at it, or the cluster cannot
            be joined or cannot carry out the run.
    """
    if run.status == "finished":
        return run
    config = RunConfig.model_validate(run.config)
    task = task_of(run, config)
    check_cast(config)
    with checked_session(config, store.address, Path(run.home), address=cluster):
        return _carry_out(store, run.id, config, task, examples_of(store, run.id), progress)


def task_of(run: Run, config: RunConfig) -> Task:
    """The task of a run, as it was when the run began.

    Raises:
        ConfigError: its file was changed since.
    """
    task = load_task(config.task)
    if task.hash != run.task_hash:
        raise ConfigError(f"the task {config.task!r} was changed since run {run.id} began; restore it, or start anew")
    return task


def examples_of(store: Store, run_id: str) -> list[Example]:
    """The inputs of a campaign, in its order."""
    rows = store.select(RunExample, run_id=run_id, order_by="position")
    texts = {row.id: row.text for row in store.select(ExampleRow, id=[row.example_id for row in rows])}
    return [Example(row.example_id, texts[row.example_id], row.split) for row in rows]


def _carry_out(
    store: Store, run_id: str, config: RunConfig, task: Task, examples: list[Example], progress: Progress
) -> Run:
    async def campaign(run: Run) -> None:
        prepare_weights(config, progress)
        await _campaign(store, run, config, task, examples, progress)

    return execute(store, run_id, campaign)


async def _campaign(
    store: Store, run: Run, config: RunConfig, task: Task, examples: list[Example], progress: Progress
) -> None:
    folder = Path(run.home)
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(
            open_models(config.cast, config.seed, folder / "simulated-cast.jsonl")
        )
        saver = await stack.enter_async_context(open_checkpoints(store, folder.parent.parent))
        context = open_context(stack, store, run, config, task, examples, clients, progress, origin=run.id)
        if config.training.train_every is not None:
            progress.print(str(context.train_gate))
        graph = build_campaign_graph(saver)
        # Demonstrate, imitate and report, at most five steps a round, and some to spare.
        thread = RunnableConfig(configurable={"thread_id": run.id}, recursion_limit=20 + 10 * config.rounds)
        begun = bool((await graph.aget_state(thread)).values)
        await graph.ainvoke(None if begun else CampaignState(), thread, context=context)
        await saver.adelete_thread(run.id)


def open_context(
    stack: AsyncExitStack,
    store: Store,
    run: Run,
    config: RunConfig,
    task: Task,
    examples: list[Example],
    clients: Mapping[Seat, OpenAIClient],
    progress: Progress,
    *,
    origin: str,
) -> RunContext:
    """The context of a run, its actors started; what has to be ended with it is put on the stack. Needs Ray."""
    names, threads, seed = model_names(config.cast), config.training.threads, config.seed
    pool, trainer = StudentPool(config.student, threads=threads), Trainer(config.training)
    stack.callback(trainer.close)
    stack.callback(pool.close)
    llm = ReplyCache(store, run.id, clients)
    stack.push_async_callback(llm.drain)
    return RunContext(
        config=config,
        run=run,
        task=task,
        examples=examples,
        store=store,
        llm=llm,
        teacher=Teacher(task, llm, names["teacher"], seed),
        critic=Critic(task, llm, [names["critic"], *names.get("jury", [])], seed, config.verdict),
        judge=Judge(task, llm, names["judge"], seed, config.verdict),
        student=StudentAgent(task, seed),
        pool=pool,
        train_gate=TrainGate(overlapped=room_for_both(config)),
        trainer=trainer,
        progress=progress,
        origin=origin,
    )


def prepare_weights(config: RunConfig, progress: Progress) -> None:
    """Convert packaged weights here, where the user sees it, and not in an actor."""
    if config.student.model in PACKAGED:
        packaged_folder(config.student.model, progress.print)
