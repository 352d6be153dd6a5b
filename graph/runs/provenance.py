"""Provenance of a run: everything it is started with, so that its results can be understood."""

import os
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ... import __version__
from ...agents.tasks.task import Task
from ...core.config import RunConfig
from ...core.ids import content_hash
from ...store import PromptTemplateRow, Run, without_passwords
from ...store.tables.transcript import RunKind
from ..context.seats import cast_record

PACKAGES = ("torch", "transformers", "peft", "ray", "langgraph", "langchain-openai")
"""Whose versions are recorded with a run, beside openmic's own."""


def run_record(
    run_id: str,
    config: RunConfig,
    task: Task,
    *,
    simulated: bool,
    plugs: dict[str, Any],
    home: Path,
    arguments: Sequence[str],
    duplicates: int = 0,
    kind: RunKind = "campaign",
    source: str | None = None,
) -> Run:
    """The row of a run that begins now.

    Args:
        run_id: Its id.
        config: The configuration as resolved; the store's password is left out.
        task: The task, for its name and hash.
        simulated: Whether every large model is the simulated cast.
        plugs: Its Python objects, as `Plugs.records` gives them; the task's functions are added.
        home: The folder of the run's files.
        arguments: The command line as it was typed.
        duplicates: Inputs that were left out since they stood in the file before.
        kind: What the run does.
        source: The run whose transcripts it works on.
    """
    values = config.model_dump(mode="json")
    if config.store is not None:
        values["store"] = without_passwords(config.store)
    return Run(
        id=run_id,
        name=config.name,
        task=task.name,
        task_hash=task.hash,
        cast=cast_record(config.cast, simulated=simulated),
        config=values,
        config_hash=content_hash(values),
        arguments=[without_passwords(argument) for argument in arguments],
        seed=config.seed,
        git_commit=_git_commit(),
        packages={"openmic": __version__} | {name: version(name) for name in PACKAGES},
        home=str(home),
        duplicate_inputs=duplicates,
        kind=kind,
        plugs=plugs | {f"task.{key}": record for key, record in task.functions.records.items()},
        source_run_id=source,
    )


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
