"""Provenance of a run: everything it is started with, so that its results can be understood."""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ... import __version__
from ...agents.tasks.task import Task, is_plug, load_task
from ...core.config import RunConfig
from ...core.config_file import flat_file
from ...core.errors import ConfigError, OpenmicError
from ...core.files.private import private_folder
from ...core.ids import content_hash
from ...core.plugs import looked_in
from ...core.section import from_home
from ...store import PromptTemplateRow, Run, Store, without_passwords
from ...store.liveness import run_folder
from ...store.schema import TableModel
from ...store.tables.transcript import RunKind
from ...store.writes import adding, adding_new
from ...training.student.fingerprint import student_files
from ...training.student.student import StudentInfo
from ..context.prices import prices_of
from ..context.seats import cast_record

PACKAGES = ("torch", "transformers", "peft", "ray", "langgraph", "langchain-openai")
"""Whose versions are recorded with a run, beside openmic's own."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A run's place in an experiment."""

    experiment: str
    arm: str
    content: str
    """The hash of all that decides what it comes to."""
    student_files: Mapping[str, str]
    """The files of its student's weights that are in that hash, as `student_files` gives them."""


def run_record(
    run_id: str,
    config: RunConfig,
    task: Task,
    *,
    simulated: bool,
    plugs: dict[str, Any],
    home: str | Path,
    arguments: Sequence[str],
    duplicates: int = 0,
    kind: RunKind = "campaign",
    source: str | None = None,
    estimate: dict[str, Any] | None = None,
    foreseen: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    reuses: str | None = None,
    member: Membership | None = None,
    files: Mapping[str, str] | None = None,
) -> Run:
    """The row of a run that begins now.

    Args:
        run_id: Its id.
        config: The configuration as resolved; the store's password is left out.
        task: The task, for its name and hash.
        simulated: Whether every large model is the simulated cast.
        plugs: Its Python objects, as `Plugs.records` gives them; the task's functions are added.
        home: The folder of the run's files, as the store is to have it.
        arguments: The command line as it was typed.
        duplicates: Inputs that were left out since they stood in the file before.
        kind: What the run does.
        source: The run whose transcripts it works on.
        estimate: What it is to take, as `preflight.estimate` gives it.
        foreseen: How long it is to take at least, as `preflight.forecast` says.
        config_file: Where its configuration comes from, if from a file.
        reuses: The run whose replies and texts it takes where they are what it would ask for.
        member: Its place in an experiment, if it is part of one, which also gives it its name and its student's files.
        files: The student's files, where others than those may not be worked with. None: as they are now.
    """
    place = {} if member is None else asdict(member)
    files = place.pop("student_files", files)
    values = config.model_dump(mode="json")
    if config.store is not None:
        values["store"] = without_passwords(config.store)
    objects = plugs | {f"task.{key}": record for key, record in task.functions.records.items()}
    prices = {seat: asdict(price) for seat, price in prices_of(config.cast).items()}
    return Run(
        id=run_id,
        name=config.name if member is None else f"{member.experiment}/{member.arm}",
        task=task.name,
        task_hash=task.hash,
        task_file=task.as_file().model_dump(mode="json") if type(task) is Task else {},
        cast=cast_record(config.cast, simulated=simulated),
        config=values,
        config_hash=content_hash(values),
        arguments=[without_passwords(argument) for argument in arguments],
        seed=config.seed,
        student_files=student_files(config.student) if files is None else dict(files),
        git_commit=_git_commit(),
        packages={"openmic": __version__} | {name: version(name) for name in PACKAGES},
        home=str(home),
        duplicate_inputs=duplicates,
        cost={
            "prices": prices,
            **({} if estimate is None else {"estimate": estimate}),
            **({} if not foreseen else _seconds(foreseen)),
        },
        kind=kind,
        plugs=objects,
        folders=looked_in() if objects else [],
        source_run_id=source,
        config_file={} if config_file is None else file_record(config_file),
        reuses=reuses,
        **place,
    )


def begin_run(store: Store, run: Run, *own: TableModel, shared: Iterable[TableModel] = ()) -> Run:
    """Record a run that begins now with all it begins with, or nothing of it.

    A process that is killed leaves no run, or one that can be resumed. The folder of its files is made first.

    Args:
        store: Open for writing.
        run: Its row.
        own: Its other rows, such as the adapters it starts from.
        shared: Rows that may be there already, such as inputs and prompts.

    Returns:
        The run as the store has it.
    """
    identity = run.id
    private_folder(run_folder(store, run))
    store.write(adding_new(*shared), adding(run, *own))
    begun = store.get(Run, identity)
    assert begun is not None
    return begun


def pinned(config: RunConfig, student: StudentInfo) -> RunConfig:
    """The configuration with the commit that its student's hub id means now, which a run stays with.

    A folder has none, and nor has what the hub gave no commit with.
    """
    if student.revision is None or student.revision == config.student.revision:
        return config
    kept = config.student.model_copy(update={"revision": student.revision})
    return config.model_copy(update={"student": kept})


def file_record(path: Path) -> dict[str, Any]:
    """What is kept of a configuration file, to see whether it was changed since; never a password."""
    values = {key: without_passwords(value) for key, value in flat_file(path).items()}
    return {"path": str(Path(from_home(path)).absolute()), "values": values}


def file_changes(run: Run) -> list[str]:
    """A line for each key of the run's configuration file that says something else than when the run began."""
    if not run.config_file:
        return []
    path, before = Path(run.config_file["path"]), run.config_file["values"]
    if not path.exists():
        return ["it is not there any more"]
    try:
        now = file_record(path)["values"]
    except ConfigError as error:
        return [f"it cannot be read any more: {error}"]
    keys = (key for key in [*before, *(key for key in now if key not in before)] if before.get(key) != now.get(key))
    return [f"{key}: {before.get(key, 'not set')} -> {now.get(key, 'not set')}" for key in keys]


def task_file_changed(run: Run) -> bool:
    """Whether the file of a run's task says something else by now; one that is gone does not."""
    name = str(run.config.get("task"))
    if not run.task_file or is_plug(name):
        return False
    try:
        return load_task(name).hash != run.task_hash
    except OpenmicError:
        return False


def template_rows(task: Task) -> list[PromptTemplateRow]:
    """Every prompt of a task as a row."""
    return [
        PromptTemplateRow(
            hash=template.hash,
            task=template.task,
            role=template.role,
            purpose=template.purpose,
            version=str(template.version),
            text=template.text,
        )
        for template in task.templates()
    ]


def _seconds(foreseen: Mapping[str, Any]) -> dict[str, Any]:
    """Of a forecast, what the run is to keep."""
    return {
        "foreseen_s": foreseen["seconds"],
        "foreseen_stages": {stage["stage"]: stage["seconds"] for stage in foreseen["stages"]},
    }


def _git_commit() -> str | None:
    """The commit of the working directory, where it is a git checkout."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
