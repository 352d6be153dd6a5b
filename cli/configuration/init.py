"""`openmic init`: a folder to begin in."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ...core.errors import ConfigError
from ...core.files.examples import example_file
from ..options import OWN_CONFIGURATION, JsonOption, print_json

TASK, INPUTS, README = "task.yaml", "inputs.jsonl", "README.md"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if it is not there.")] = Path(),
    task: Annotated[
        str, typer.Option("--task", metavar="NAME", help="The task that ships to start from: `openmic task list`.")
    ] = "humor",
    as_json: JsonOption = False,
) -> None:
    """Begin a project: a configuration, a task file with comments, sample inputs, and a short README.

    All of it runs as it is, on a laptop, with the simulated cast. What is there already is left alone.

    \b
    Examples:
      openmic init
      openmic init jokes
      openmic init notices --task plain-language
    """
    made = _contents(task)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if there := [name for name in made if os.path.lexists(folder / name)]:
            raise ConfigError(f"{folder / there[0]} is there already; nothing was written. Give another folder")
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written to: {error.strerror}") from None
    if as_json:
        print_json({"folder": str(folder.resolve()), "files": list(made)})
        return
    place = f"./{folder}" if str(folder).startswith("-") else str(folder)
    inside = "" if folder == Path() else f"cd {shlex.quote(place)}\n  "
    typer.echo(f"{', '.join(made)} written to {folder.resolve()}\nnow:\n  {inside}openmic run --dry-run\n  openmic run")


def _contents(task: str) -> dict[str, str]:
    """The files by their names.

    Raises:
        ConfigError: there is no such task, or no example of it.
    """
    from ...agents.tasks.task_file import shipped_tasks, task_source

    if task not in shipped_tasks():
        raise ConfigError(f"there is no task {task!r} that ships, only {', '.join(shipped_tasks())}")
    example = example_file(task)
    settings = example.read_text(encoding="utf-8")
    for given, own in (
        (f"task: {task}\n", f"task: {TASK}\n"),
        (f"path: inputs/{task}.jsonl", f"path: {INPUTS}"),
        (f"examples/{task}.yaml", OWN_CONFIGURATION),
    ):
        assert given in settings
        settings = settings.replace(given, own)
    return {
        OWN_CONFIGURATION: settings,
        TASK: task_source(task).text,
        INPUTS: (example.parent / "inputs" / f"{task}.jsonl").read_text(encoding="utf-8"),
        README: _README,
    }


_README = f"""# A student of your own

- `{TASK}`: what is to be learned; `{INPUTS}`: from which inputs; `{OWN_CONFIGURATION}`: by whom and how. Put yours in.
- `openmic run` teaches the student; `openmic run --dry-run` checks all of it first.
- `openmic status` says what came of it, `openmic view` shows every word that was said, `openmic chat` asks the student.
"""
