"""`openmic init`: a folder to begin in."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from ...core.errors import ConfigError
from ...core.files.examples import example_file, project_names
from ..options import OWN_CONFIGURATION, JsonOption, print_json

TASK, INPUTS, README = "task.yaml", "inputs.jsonl", "README.md"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if it is not there.")] = Path(),
    task: Annotated[
        str,
        typer.Option(
            "--task",
            metavar="NAME",
            help="What to start from: humor, klartext, plain-language, support-tone or titles.",
        ),
    ] = "humor",
    as_json: JsonOption = False,
) -> None:
    """Begin a project: a configuration, a task file with comments, sample inputs, and a short README.

    All of it runs as it is, on a laptop: with the simulated cast (humor, plain-language), or with demonstrations from a
    file and a scorer in Python. What is there already is left alone.

    \b
    Examples:
      openmic init
      openmic init jokes
      openmic init replies --task support-tone
    """
    made = _contents(task)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; nothing was written. Give a folder")
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


def _contents(name: str) -> dict[str, str]:
    """The files by their names: an example's own, or a task that ships with a configuration for it.

    Raises:
        ConfigError: there is nothing of that name.
    """
    from ...agents.tasks.task_file import shipped_tasks, task_source

    if name in project_names():
        folder = example_file(name).parent
        names = sorted(path.name for path in folder.iterdir() if path.suffix in {".yaml", ".jsonl", ".py"})
        return {one: (folder / one).read_text(encoding="utf-8") for one in names} | {README: _README}
    if name not in shipped_tasks():
        known = ", ".join(sorted([*shipped_tasks(), *project_names()]))
        raise ConfigError(f"there is no task {name!r} that ships, only {known}")
    inputs = example_file(name).parent / "inputs" / f"{name}.jsonl"
    return {
        OWN_CONFIGURATION: _CONFIGURATION.format(name=name),
        TASK: task_source(name).text,
        INPUTS: inputs.read_text(encoding="utf-8"),
        README: _README,
    }


_CONFIGURATION = f"""# Without changes this runs on a laptop with the simulated cast.
# Every key, with its default: openmic config show
name: {{name}}
task: {TASK}
seed: 7
rounds: 1

inputs:
  path: {INPUTS}            # of a file with ids: id_field, metadata; with several columns: fields

cast:
  teacher: {{{{model: simulated}}}}   # or a model of an endpoint, with base_url; or demonstrations: FILE
  critic: {{{{model: simulated}}}}    # or a scorer in Python: {{{{use: "module:function"}}}}
  # judge: {{{{model: …}}}}           # an independent model for evaluation alone

student:
  model: smollm2-135m-instruct  # or a hub id, or a folder
  sampling: {{{{temperature: 0.9, top_p: 0.95}}}}   # max_tokens: by the lengths of the demonstrations

# Small numbers, so that all of it takes minutes on two CPU cores.
imitation: {{{{inputs: 96, demonstrations: 2, epochs: 1, batch_size: 8, learning_rate: 1.0e-3, max_length: 128}}}}
dialogue: {{{{inputs: 60, candidates: 4, selection: tournament, concurrency: 64}}}}
preferences:
  length_ratio: [0.67, 1.5]   # wider than the default, for more of few pairs
training:
  objective: dpo
  epochs: 2
  batch_size: 8
  learning_rate: 5.0e-4
  nll_weight: 1.0             # what the critic prefers is also learned as it stands
  lora: {{{{last_layers: 16}}}}     # of 30: a quarter less work
evaluation:
  test_inputs: 56
  dev_inputs: 16
  sampling: {{{{temperature: 0.7, top_p: 0.9}}}}
  scorers:                    # a column of the report each; leave the rubric out where real models judge
    - {{{{use: simulated_rubric, kwargs: {{{{skill: {{name}}, profile: sim-judge}}}}, name: rubric}}}}
"""
_README = f"""# A student of your own

- `{TASK}`: what is to be learned; `{INPUTS}`: from which inputs; `{OWN_CONFIGURATION}`: by whom and how. Put yours in.
- `openmic run` teaches the student; `openmic run --dry-run` checks all of it first.
- `openmic status` says what came of it, `openmic view` shows every word that was said, `openmic chat` asks the student.
"""
