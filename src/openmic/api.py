"""openmic in Python: campaigns, runs that exist, and single comparisons, critiques and dialogues.

Everything here works in a script and in a notebook, where an event loop runs already. The command line is made of it.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .core.concurrency import CANCELLABLE, Cancellable, run_to_end
from .core.config import RunConfig, store_address
from .core.errors import ConfigError, OpenmicError
from .core.ids import new_id
from .core.inputs import example_of
from .core.plugs import Plug
from .core.records import NO_ADAPTER, Input, Split
from .core.row_files import rows_given
from .given import (
    ConfigLike,
    Overrides,
    checked_input,
    checked_text,
    plug_of,
    resolve,
    single,
    with_inputs,
    with_place_for,
)
from .run_handle import Dialogue, Gain, Run, tell_how_to_go_on

if TYPE_CHECKING:
    from .agents.critique import Critique
    from .agents.verdicts.verdict import Verdict


def run(
    config: ConfigLike | None = None,
    overrides: Overrides = None,
    *,
    inputs: Sequence[str | Mapping[str, str]] | None = None,
    task: Any = None,
    teacher: Any = None,
    references: Any = None,
    critic: Any = None,
    judge: Any = None,
    scorers: Sequence[Any] = (),
    objective: Any = None,
    engine: Any = None,
    progress: Any = True,
    cluster: str | None = None,
    check: bool = True,
    reuse: str | Run | None = None,
    arguments: Sequence[str] = (),
) -> Run:
    """Carry out a campaign: demonstrations, imitation, rounds of dialogues and fine-tuning, evaluation.

    Args:
        config: A configuration file, the same as a mapping, or a `Config`. None: the defaults, for `inputs` given here.
            The environment (OPENMIC_A__B sets a.b) is laid over a file and a mapping.
        overrides: Values laid over it: `{"rounds": 2, "training.beta": 0.2}`, or `["rounds=2"]`.
        inputs: The inputs themselves in place of `inputs.path`: texts, or mappings of fields.
        task: A `Task`, in place of the configuration's.
        teacher: Who demonstrates: a function `(input, count) -> outputs`, a file of demonstrations (a path), a list of
            `{"input": …, "output": …}`, or settings as under `cast.teacher`.
        references: The same for the outputs that evaluation compares with. None: the teacher.
        critic: Who compares: a scorer `(input, outputs) -> scores`, an object with `compare` (and `criticise`, for
            revisions), or settings as under `cast.critic`.
        judge: The same for evaluation alone.
        scorers: Columns of the report: functions `(input, outputs) -> scores`, or names that ship.
        objective: What a training minimises: a name, or an `Objective` of your own.
        engine: What generates: a name, or a function that makes an `Engine`.
        progress: True shows it on stderr, False nowhere; or an object with `bar` and `print`.
        cluster: The Ray cluster to use, `auto` or an address. None: RAY_ADDRESS, else this machine alone.
        check: Whether endpoints are asked beforehand whether they answer, each with one tiny request.
        reuse: An earlier run in the same store, or its name. Replies, texts and adapters of it that are what this run
            would ask for are taken over, and cost nothing.
        arguments: The command line, to be recorded with the run.

    Raises:
        OpenmicError: what is wrong, in one line; its `run` is what was begun, and can be resumed.
    """
    from .graph.context.seats import cast_record
    from .graph.preflight import checks
    from .graph.runs.start import start_run
    from .store.cast_notes import cast_notes

    resolved, plugs = resolve(
        with_place_for(config, inputs),
        overrides,
        {
            "task": task,
            "teacher": teacher,
            "references": references,
            "critic": critic,
            "judge": judge,
            "scorers": scorers,
            "objective": objective,
            "engine": engine,
        },
    )
    if inputs is not None:
        resolved = with_inputs(resolved, inputs)
    display = shown(progress)
    reused = None if reuse is None else _reusable(reuse, resolved.store_url)
    checked = checks.check(resolved, plugs, cluster=cluster, ask=check)
    counts = ", ".join(f"{sum(e.split is split for e in checked.examples)} {split}" for split in Split)
    name = config if isinstance(config, str | Path) else resolved.name
    display.print(f"openmic run {name} · task {checked.task.name} · {counts} inputs · {_cast_line(resolved, checked)}")
    if checked.duplicates:
        display.print(f"note: {checked.duplicates} inputs were left out that stood in the file before")
    if checked.student.note:
        display.print(f"student {checked.student.name}: {checked.student.note}")
    for note in [*checked.notes, *cast_notes(cast_record(resolved.cast, simulated=checked.simulated))]:
        display.print(f"note: {note}")
    identity = new_id()
    try:
        file = Path(config) if isinstance(config, str | Path) else None
        row = start_run(
            identity, resolved, checked, arguments, display, cluster=cluster, config_file=file, reuses=reused
        )
    except OpenmicError as error:
        error.run = begun = _begun(identity, resolved.store_url)
        if begun is not None:
            tell_how_to_go_on(error, begun)
        raise
    return Run(row, resolved.store_url)


async def arun(config: ConfigLike | None = None, overrides: Overrides = None, **given: Any) -> Run:
    """As `run`, for `await`: other coroutines go on meanwhile. Cancelling it interrupts the run."""
    found: Run = await _in_thread(lambda: run(config, overrides, **given))
    return found


def open_run(name: str = "latest", store: str | Path | None = None) -> Run:
    """A run that exists.

    Args:
        name: Its id, the beginning of it, or `latest`.
        store: The store's file or address. Default: OPENMIC_STORE, else `openmic-data/openmic.db`.

    Raises:
        NotFoundError: there is no such run.
        StoreError: there is no such store.
    """
    from .store import Store

    url = store_address(None if store is None else str(store))
    with Store.open_readonly(url) as reader:
        return Run(reader.resolve_run(name), url)


def compare(
    source: Input, first: str, second: str, *, critic: Any = None, task: Any = None, config: ConfigLike | None = None
) -> "Verdict":
    """The critic's verdict on two outputs for an input, asked in both orders; a `Verdict`.

    Args:
        source: The input that both answer.
        first: One output.
        second: The other.
        critic: As for `run`; None takes the configuration's.
        task: A `Task`, or its name or file. None: the configuration's, else humor.
        config: Settings of the cast and of verdicts, as for `run`. None: the simulated cast.

    Raises:
        OpenmicError: the critic cannot be had, or gives no answer that can be read.
    """
    from .graph.runs.single import compare_once

    source = checked_input(source, "source")
    texts = checked_text(first, "first"), checked_text(second, "second")
    resolved, plugs = single(config, critic=critic, task=task)
    found = plugs.task(resolved.task)
    return run_to_end(lambda: compare_once(resolved, found, plugs, "critic", source, *texts))


def criticise(
    source: Input, text: str, *, critic: Any = None, task: Any = None, config: ConfigLike | None = None
) -> "Critique":
    """The critic's critique of one output; a `Critique` with `works`, `missing` and `suggestion`.

    Arguments and errors are those of `compare`.
    """
    from .graph.runs.single import criticise_once

    source, text = checked_input(source, "source"), checked_text(text, "text")
    resolved, plugs = single(config, critic=critic, task=task)
    found = plugs.task(resolved.task)
    return run_to_end(lambda: criticise_once(resolved, found, plugs, source, text))


def dialogue(
    source: Input,
    *,
    adapter: str | Path | None = None,
    config: ConfigLike | None = None,
    task: Any = None,
    teacher: Any = None,
    critic: Any = None,
    engine: Any = None,
    progress: Any = False,
) -> Dialogue:
    """Hold one dialogue about one input, and look at it: drafts, verdicts, critique, revision. Nothing is recorded.

    Args:
        source: The input: a text, or its fields.
        adapter: The folder of an adapter that the student speaks with. None: the bare student.
        config: As for `run`.
        task: A `Task`, or its name or file. None: the configuration's, else humor.
        teacher: As for `run`.
        critic: As for `run`.
        engine: As for `run`.
        progress: As for `run`.

    Raises:
        OpenmicError: the student or somebody of the cast cannot be had.
    """
    from .graph.runs.single import hold_once
    from .training.standalone import adapter_ref

    source = checked_input(source, "source")
    resolved, plugs = single(config, critic=critic, teacher=teacher, engine=engine, task=task)
    ref = NO_ADAPTER if adapter is None else adapter_ref(adapter)
    example = replace(example_of(source, 0.0, 0.0), split=Split.TRAIN)
    found, display = plugs.task(resolved.task), shown(progress)
    return Dialogue(run_to_end(lambda: hold_once(resolved, found, plugs, example, ref, display)))


def best_of(scorer: Any, source: Input, outputs: Iterable[str]) -> str:
    """The best of several outputs by a scorer (best-of-k); the first of those that share the highest score.

    Args:
        scorer: A function `(input, outputs) -> scores`, the name of one that ships, or `{"use": …, "kwargs": …}`.
        source: The input.
        outputs: At least one output for it.

    Raises:
        ConfigError: there is no output, or something that is no text; or the scorer cannot be had.
        PlugError: the scorer fails.
    """
    from .evaluation.scorers import best_of as place_of_best
    from .evaluation.scorers import load_scorer

    source = checked_input(source, "source")
    given = rows_given(outputs, "outputs", "a text")
    texts = [checked_text(output, f"outputs, item {place}") for place, output in enumerate(given)]
    if not texts:
        raise ConfigError("outputs: there is none to choose from; give at least one")
    plug = isinstance(scorer, str | Mapping | Plug)
    found = load_scorer(plug_of(scorer, "scorer"), where="scorer") if plug else scorer
    return texts[run_to_end(lambda: place_of_best(found, source, texts))]


def gain_over_seeds(runs: Iterable[Run]) -> Gain:
    """The gain of feedback over imitation on test inputs, of several seeds of one configuration together.

    A seed's outputs stand or fall together: inputs and seeds are crossed random effects (`evaluation.arms.pooled`).

    Args:
        runs: One of each seed, with a gain each.

    Raises:
        ConfigError: there is none, two have the same seed, one has no gain, or they share no test input.
    """
    from .evaluation.arms.pooled import paired
    from .store.search.judged import outputs_of

    before, after, seeds = dict[tuple[str, int], float](), dict[tuple[str, int], float](), list[int]()
    given = rows_given(runs, "runs", "a run")
    for run in given:
        found, seed = run.report()["gain"], run.config.seed
        if found is None:
            raise ConfigError(
                f"runs: {run.id} has no gain: imitation and a round have both to be judged on test inputs"
            )
        if seed in seeds:
            raise ConfigError(f"runs: two have seed {seed}; give one of each")
        seeds.append(seed)
        with run._open() as reader:
            row = reader.resolve_run(run.id)
            for numbers, version in ((before, found["from"]), (after, found["to"])):
                numbers |= {one.place: one.credit for one in outputs_of(reader, row, version)}
    if not given:
        raise ConfigError("runs: there is none; give one of each seed")
    difference = paired(before, after, given[0].config.evaluation, given[0].config.seed)
    if difference is None:
        raise ConfigError("runs: they share no test input; give runs of one configuration, with other seeds")
    return Gain(*difference[:3])


def embed(texts: Iterable[str], model: str | None = None, *, device: str = "auto") -> Any:
    """Sentence embeddings: a NumPy array of shape (texts, dimensions), float32, each row of length 1.

    The model stays loaded until another is asked for.

    Args:
        texts: What to embed; of more than 256 tokens the end is not read.
        model: A hub id or a folder. None: all-MiniLM-L6-v2, for English, as a package carries it.
        device: Such as cpu or cuda:0; `auto` takes a GPU where there is one.

    Raises:
        ConfigError: something is no text, or the model cannot be had.
    """
    from .training.scoring.sentence_similarity import MINILM, embedder

    given = rows_given(texts, "texts", "a text")
    checked = [checked_text(text, f"texts, item {place}") for place, text in enumerate(given)]
    return embedder(model or MINILM, device).embed(checked)


def shown(progress: Any) -> Any:
    """Where progress goes, as `run` takes it."""
    from .graph.context.progress import Silent

    if progress is False or progress is None:
        return Silent()
    if progress is not True:
        if missing := [name for name in ("bar", "print") if not callable(getattr(progress, name, None))]:
            raise ConfigError(f"progress: {progress!r:.80} has no {' and no '.join(missing)}; give True, False or such")
        return progress
    from .cli.progress import progress_display

    return progress_display()


def _reusable(named: str | Run, store: str) -> str:
    """The id of the run that is to be reused."""
    return open_run(named if isinstance(named, str) else named.id, store).id


def _begun(identity: str, store: str) -> Run | None:
    """The run of this id if it was recorded."""
    try:
        return open_run(identity, store)
    except OpenmicError:
        return None


def _cast_line(config: RunConfig, checked: Any) -> str:
    from .graph.context.seats import seat_names

    if checked.simulated and not checked.plugs.records:
        return "simulated cast"
    names = seat_names(config.cast)
    return ", ".join(f"{role} {names[role]}" for role in ("teacher", "critic", "judge"))


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Blocking work in a thread; cancelling it cancels the event loops that run within."""
    running = Cancellable()
    token = CANCELLABLE.set(running)
    try:
        thread = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.wait([thread])
            thread.exception()
            raise
    finally:
        CANCELLABLE.reset(token)
