"""Carrying an experiment out: what is done is found by its hash, and the rest is done, arm by arm.

First all runs that make adapters, then, when nothing is left to be chosen, all evaluations on test inputs. An arm that
fails is recorded, and the others go on. Killed at any time and called again, it goes on where it was.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from ...core.config_file import flat_values
from ...core.errors import (
    BudgetError,
    ConfigError,
    EndpointLostError,
    InterruptedRunError,
    OpenmicError,
    RayLostError,
    StoreFaultError,
    StudentChangedError,
    StudentLostError,
)
from ...core.ids import content_hash, new_id
from ...core.records import Split
from ...store import Adapter, Evaluation, ExperimentRow, Run, Store
from ...store.liveness import held_experiment
from ...store.reading import Reader
from ...training.local_ray import ray_session
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..preflight.checks import Checked, check
from ..preflight.objects import check_objective
from ..runs.evaluate import evaluate_run
from ..runs.examine import start_examination
from ..runs.provenance import Membership
from ..runs.resume import resume_any
from ..runs.retrain import start_training
from ..runs.start import start_run
from .cells import Cell, cells_of
from .results import judged_version, runs_by_content
from .spec import ReadExperiment

STOPS = (
    InterruptedRunError,
    BudgetError,
    EndpointLostError,
    StudentLostError,
    StudentChangedError,
    RayLostError,
    StoreFaultError,
)
"""What ends the experiment, and not only the arm that it befalls.

Memory that runs out is the arm's own: another may be smaller, and the processes that had it end with the arm's run, not
with Ray.
"""


@dataclass(slots=True)
class Standing:
    """How far a cell is."""

    cell: Cell
    run: Run | None = None
    error: str | None = None
    """Why it failed, in one line."""


@dataclass(slots=True)
class CheckedExperiment:
    """An experiment of which all that can be known beforehand is known to be right."""

    read: ReadExperiment
    cells: list[Cell]
    checked: dict[str, Checked]
    """What the checks found out of the arms that are campaigns, by the arm."""
    notes: list[str] = field(default_factory=list)

    @property
    def store(self) -> str:
        """The address of the one store that all its runs are in."""
        return self.cells[0].config.store_url


def check_experiment(read: ReadExperiment, *, cluster: str | None = None, ask: bool = True) -> CheckedExperiment:
    """Check every arm against the world before anything is paid for. Writes nothing but weights into the cache.

    Raises:
        OpenmicError: what is wrong, with the arm it is wrong in.
    """
    cells = cells_of(read)
    found = CheckedExperiment(read, cells, {})
    first = [cell for cell in cells if cell.seed == read.experiment.seeds[0]]
    asked: set[str] = set()
    for cell in first:
        try:
            if cell.kind == "campaign":
                cast = f"{cell.config.cast.model_dump_json()} {cell.config.training.from_drafts}"
                checked = check(cell.config, Plugs(), cluster=cluster, ask=ask and cast not in asked)
                asked.add(cast)
                found.checked[cell.arm] = checked
                found.notes += [note for note in checked.notes if note not in found.notes]
            elif cell.kind == "train":
                check_objective(cell.config, Plugs())
                refuse_other_transcripts(cell)
        except OpenmicError as error:
            raise type(error)(f"arms.{cell.arm}: {error}") from error
    return found


def refuse_other_transcripts(cell: Cell) -> None:
    """Refuse to learn from what another arm's dialogues do not hold: preferences, or drafts that were scored.

    Raises:
        ConfigError: the arm it learns from is held for the other.
    """
    assert cell.source is not None
    own, other = cell.config.training, cell.source.config.training
    if own.from_drafts != other.from_drafts and own.objective != "sft":
        raise ConfigError(
            f"training.objective={own.objective} learns nothing from the transcripts of arm {cell.source.arm}, "
            f"which are held for {other.objective}; let it hold dialogues of its own (leave train_on out)"
        )


def run_experiment(
    found: CheckedExperiment,
    progress: Progress,
    *,
    arguments: Sequence[str] = (),
    cluster: str | None = None,
    ask: bool = True,
    seeds: Sequence[int] = (),
) -> list[Standing]:
    """Do what is not done yet, and tell how each cell stands.

    Args:
        found: What `check_experiment` returned.
        progress: Who is told.
        arguments: The command line, to be recorded.
        cluster: The Ray cluster's address; None starts Ray on this machine.
        ask: Whether endpoints are asked beforehand whether they answer.
        seeds: Of the experiment's seeds those to be carried out here; empty means all. Other processes may carry out
            the others at the same time.

    Raises:
        ConfigError: the cluster cannot be joined, or another process is at one of these seeds.
        InterruptedRunError: Ctrl-C; everything done is stored, and the same command goes on.
        OpenmicError: the store, Ray or a budget ends all of it; likewise.
    """
    seeds = chosen_seeds(found.read, seeds)
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(found.store))
        stack.enter_context(held_experiment(store, found.read.experiment.name, seeds))
        record_experiment(store, found.read, found.cells, arguments)
        cells = [cell for cell in found.cells if cell.seed in seeds]
        carrying = _Carrying(found, cells, store, progress, list(arguments), cluster=cluster, ask=ask)
        if not carrying.left:
            progress.print("every arm is done already: nothing was done again")
            return carrying.standings
        for line in carrying.changes():
            progress.print(line)
        stack.enter_context(ray_session(address=cluster))  # one for all runs: each would start its own
        carrying.carry_out()
        return carrying.standings


def chosen_seeds(read: ReadExperiment, seeds: Sequence[int]) -> tuple[int, ...]:
    """The seeds of an experiment that are meant, in its order; none given means all.

    Raises:
        ConfigError: one of them is no seed of the experiment.
    """
    own = read.experiment.seeds
    for seed in seeds:
        if seed not in own:
            raise ConfigError(f"seed {seed} is none of {read.experiment.name}'s, which are {', '.join(map(str, own))}")
    return tuple(seed for seed in own if seed in seeds or not seeds)


def record_experiment(store: Store, read: ReadExperiment, cells: Sequence[Cell], arguments: Sequence[str]) -> None:
    """Put what the experiment says on record, unless it said so the last time."""
    spec: dict[str, Any] = {
        **read.experiment.model_dump(mode="json"),
        "measured_over": read.experiment.measured_over,
        "overrides": list(read.overrides),
        "file": None if read.file is None else str(read.file.absolute()),
        "cells": [cell.record for cell in cells],
    }
    known = store.select(ExperimentRow, name=read.experiment.name, order_by="-created_at", limit=1)
    if not known or content_hash(known[0].spec) != content_hash(spec):
        store.add(ExperimentRow(id=new_id(), name=read.experiment.name, spec=spec, arguments=list(arguments)))


def done_already(store: Reader, found: CheckedExperiment) -> frozenset[tuple[str, int]]:
    """The cells that nothing is left to be done for, by arm and seed."""
    stood = standings(store, found.read.experiment.name, found.cells)
    return frozenset((one.cell.arm, one.cell.seed) for one in stood if judged(store, one))


def judged(store: Reader, one: Standing) -> bool:
    """Whether a cell's adapter was judged on the test inputs to the end."""
    if one.run is None or one.run.status != "finished":
        return False
    version = judged_version(store, one.run, one.cell.judged)
    rows = store.select(Evaluation, run_id=one.run.id, adapter_version=version, split=Split.TEST)
    return bool(rows) and rows[0].status == "finished"


def standings(store: Reader, name: str, cells: Sequence[Cell]) -> list[Standing]:
    """The run of each cell, with why it failed."""
    runs, found = runs_by_content(store, name), []
    for cell in cells:
        made = runs.get((cell.maker.content, cell.seed))
        error = made.error if made is not None and made.status == "failed" else None
        found.append(Standing(cell, made, error))
    return found


class _Carrying:
    def __init__(
        self,
        found: CheckedExperiment,
        cells: Sequence[Cell],
        store: Store,
        progress: Progress,
        arguments: list[str],
        *,
        cluster: str | None,
        ask: bool,
    ) -> None:
        self._store, self._progress, self._arguments = store, progress, arguments
        self._cluster, self._ask = cluster, ask
        self._name = found.read.experiment.name
        self.standings = standings(store, self._name, cells)
        self._by_content = {(one.cell.content, one.cell.seed): one for one in self.standings}
        self._began = time.monotonic()

    @property
    def left(self) -> list[Standing]:
        """The cells that something is to be done for."""
        return [one for one in self.standings if not judged(self._store, one)]

    def changes(self) -> list[str]:
        """What was changed since a cell was done before, for those that are done anew."""
        lines: dict[str, None] = {}
        for one in self.standings:
            if one.run is not None or one.cell.kind == "adapter":
                continue
            earlier = self._store.select(
                Run, experiment=self._name, arm=one.cell.arm, seed=one.cell.seed, order_by="-created_at", limit=1
            )
            if not earlier:
                continue
            before, now = flat_values(earlier[0].config), flat_values(one.cell.config.model_dump(mode="json"))
            keys = [key for key in dict.fromkeys([*before, *now]) if before.get(key) != now.get(key)]
            told = ", ".join(f"{key} {before.get(key, 'not set')} -> {now.get(key, 'not set')}" for key in keys[:5])
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            why = told or "what it goes back to, or its inputs, were changed"
            lines[f"{one.cell.arm} is done anew: {why}{more}"] = None
        return list(lines)

    def carry_out(self) -> None:
        """Everything that makes adapters, then everything that looks at test inputs."""
        makers = [one for one in self.standings if one.cell.kind in {"campaign", "train"}]
        for number, one in enumerate(makers, start=1):
            self._do(one, self._make, f"{number}/{len(makers)}")
        # The more outputs the best is chosen of, the earlier: those of fewer are among them, and taken over.
        judges = sorted(self.standings, key=lambda one: -one.cell.config.evaluation.best_of)
        for number, one in enumerate(judges, start=1):
            self._do(one, self._judge, f"test inputs {number}/{len(self.standings)}")

    def _do(self, one: Standing, act: Callable[[Standing], None], where: str) -> None:
        try:
            act(one)
        except STOPS:
            raise
        except OpenmicError as error:
            one.error = str(error).splitlines()[0]
            self._progress.print(f"{self._name} {where}: {one.cell.title} failed: {one.error}")
        else:
            if one.error is None:
                minutes = (time.monotonic() - self._began) / 60
                self._progress.print(f"{self._name} {where}: {one.cell.title}, {minutes:.1f} min so far")
        if one.run is not None:
            one.run = self._store.get(Run, one.run.id)

    def _make(self, one: Standing) -> None:
        """The run that makes a cell's adapter, begun, gone on with, or found done."""
        if self._gone_on_with(one):
            return
        cell = one.cell
        member, progress = Membership(self._name, cell.arm, cell.content, cell.student_files), self._progress
        if cell.source is None:
            checked = check(cell.config, Plugs(), cluster=self._cluster, ask=self._ask)
            identity = new_id()
            try:
                start_run(
                    identity, cell.config, checked, self._arguments, progress, cluster=self._cluster, member=member
                )
            finally:
                one.run = self._store.get(Run, identity)
            return
        source = self._source(one)
        if source is None:
            return
        try:
            one.run = start_training(
                self._store,
                source,
                objective=None,
                overrides=list(cell.overrides),
                start=self._named(source, cell),
                arguments=self._arguments,
                progress=progress,
                member=member,
            )
        finally:
            one.run = one.run or self._begun(cell)

    def _judge(self, one: Standing) -> None:
        """The evaluation of a cell's adapter on the test inputs."""
        cell = one.cell
        if cell.kind == "evaluate":
            self._examine(one)
            return
        if cell.kind == "adapter":
            source = self._source(one)
            if source is None:
                return
            one.run = source
        if one.error is not None or one.run is None or judged(self._store, one):
            return
        version = judged_version(self._store, one.run, cell.judged)
        if version is None:
            raise ConfigError(f"{cell.maker.arm} has no adapter {cell.version!r}")
        # The versions of a run that any arm is about are judged together: its students are started once.
        alike = [other.cell for other in self.standings if other.cell.maker is cell.maker]
        versions = {judged_version(self._store, one.run, other.judged) for other in alike}
        wanted = sorted(found for found in versions if found is not None)
        evaluate_run(self._store, one.run, wanted, self._progress, ask=self._ask)

    def _examine(self, one: Standing) -> None:
        cell = one.cell
        if self._gone_on_with(one) or (source := self._source(one)) is None:
            return
        try:
            one.run = start_examination(
                self._store,
                source,
                version=self._named(source, cell),
                overrides=cell.overrides,
                arguments=self._arguments,
                progress=self._progress,
                ask=self._ask,
                member=Membership(self._name, cell.arm, cell.content, cell.student_files),
            )
        finally:
            one.run = one.run or self._begun(cell)

    def _gone_on_with(self, one: Standing) -> bool:
        """Whether the run of a cell was there already: it is finished, or was gone on with."""
        if one.run is None:
            one.error = None
            return False
        if one.run.status != "finished":
            one.error = None
            one.run = resume_any(self._store, one.run.id, self._progress, cluster=self._cluster, ask=self._ask)
        return True

    def _source(self, one: Standing) -> Run | None:
        """The finished run that a cell goes back to; None where there is none, which is why it fails."""
        assert one.cell.source is not None
        source = self._by_content[one.cell.source.content, one.cell.seed]
        if source.run is None or source.run.status != "finished":
            one.error = f"{source.cell.arm}, which it goes back to, failed"
            return None
        one.error = None
        return source.run

    def _named(self, source: Run, cell: Cell) -> int:
        """The version of its source's that a cell means."""
        if (version := judged_version(self._store, source, cell.version)) is None:
            there = ", ".join(f"v{row.version} ({row.stage})" for row in self._store.select(Adapter, run_id=source.id))
            raise ConfigError(f"run {source.id} has no adapter {cell.version!r}; it has {there}")
        return version

    def _begun(self, cell: Cell) -> Run | None:
        """The run of a cell that was recorded before it failed."""
        rows = self._store.select(Run, experiment=self._name, content=cell.content, seed=cell.seed)
        return rows[-1] if rows else None
