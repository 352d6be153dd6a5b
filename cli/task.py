"""`openmic task`: which tasks there are, what a task file says, and whether it is valid."""

from collections import Counter
from textwrap import indent
from typing import Annotated, Any

import typer

from ..core.errors import ConfigError
from ..core.records import Input
from ..core.text import printable
from .options import JsonOption, print_json

app = typer.Typer(
    help="List the tasks that ship, print a task file, or check one.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

TaskArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE|NAME|MODULE:ATTRIBUTE", help="A task file, the name of one that ships, or a task made in Python."
    ),
]


@app.command("list")
def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks that ship with openmic.

    \b
    Example:
      openmic task list
    """
    from ..agents.tasks.task import load_task
    from ..agents.tasks.task_file import shipped_tasks

    files = [load_task(name).file for name in shipped_tasks()]
    if as_json:
        print_json([{"name": file.name, "version": file.version, "description": file.description} for file in files])
        return
    width = max(len(file.name) for file in files)
    for file in files:
        typer.echo(printable(f"{file.name:{width}}  {file.description}"))


@app.command()
def show(task: TaskArgument) -> None:
    """Print a task file as it is, to start one's own from; a Python task as a file.

    \b
    Examples:
      openmic task show humor
      openmic task show plain-language > mine.yaml
    """
    from ..agents.tasks.task import is_plug, load_task
    from ..agents.tasks.task_file import as_yaml, task_source

    text = as_yaml(load_task(task).as_file()) if is_plug(task) else task_source(task).text
    typer.echo(text, nl=False)


@app.command()
def check(
    task: TaskArgument,
    given: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="TEXT|FIELD=TEXT",
            help="Print what each role would be asked about this text; of several fields once for each of them.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a task: its keys, functions and prompts, and that texts stay in their tags.

    What makes the file unusable is an error (exit code 2). What is only unwise is a warning.

    \b
    Examples:
      openmic task check mine.yaml
      openmic task check plain-language --input "Dogs shall be kept on a lead."
      openmic task check answers.yaml --input question="Why?" --input context="Nobody knows."
    """
    from ..agents.tasks.prompt_check import example_input, example_values, exposed_values, unseen_fields
    from ..agents.tasks.task import load_task

    found = load_task(task)
    warnings = exposed_values(found.prompts) + unseen_fields(found.prompts)
    value = _input(given, found.file.inputs) if given else example_input(found.prompts)
    found.functions.try_on(value)
    asked: list[dict[str, Any]] = []
    for template in found.templates():
        if template.purpose != "system":
            values = example_values(template)
            messages = found.render(template.role, template.purpose, input=value, **values)
            said = [message.model_dump() for message in messages]
            name = {"role": template.role, "purpose": template.purpose, "hash": template.hash}
            asked.append(name | {"messages": said})
    if as_json:
        about: dict[str, Any] = {"name": found.name, "version": found.file.version, "valid": True, "hash": found.hash}
        fields = {"inputs": list(found.file.inputs), "functions": found.functions.records}
        print_json(about | fields | {"warnings": warnings, "prompts": asked})
        return
    if given:
        typer.echo("\n".join(_as_text(prompt) for prompt in asked))
    roles = Counter(prompt["role"] for prompt in asked)
    shares = ", ".join(f"{role} {count}" for role, count in roles.items())
    typer.echo(
        f"task {printable(found.name)} is valid: {len(asked)} prompts ({shares}), verdict styles: {_styles(asked)}"
    )
    for warning in warnings:
        typer.echo(printable(f"warning: {warning}"))


def _input(given: list[str], fields: tuple[str, ...]) -> Input:
    """The input that `--input` gives: one text, or a text for each of the task's fields."""
    if len(fields) <= 1:
        if len(given) > 1:
            raise ConfigError(f"--input stands there {len(given)} times, and an input of this task is one text")
        return given[0]
    texts = {name.strip(): text for name, sign, text in (one.partition("=") for one in given) if sign}
    if set(texts) != set(fields) or len(texts) < len(given):
        wanted = " ".join(f"--input {field}=…" for field in fields)
        raise ConfigError(f"an input of this task has the fields {', '.join(fields)}; give {wanted}")
    return {field: texts[field] for field in fields}


def _as_text(prompt: dict[str, Any]) -> str:
    said = [f"{message['role']}:\n{indent(printable(message['content']), '  ')}" for message in prompt["messages"]]
    return "\n".join([f"--- {prompt['role']}.{prompt['purpose']}", *said, ""])


def _styles(asked: list[dict[str, Any]]) -> str:
    """The verdict styles that both critic and judge have a prompt for, as `verdict.style` names them."""
    there = {(prompt["role"], prompt["purpose"]) for prompt in asked}
    purposes = {"label": "compare", "reason": "reason", "cloze": "cloze"}
    styles = [style for style, purpose in purposes.items() if {("critic", purpose), ("judge", purpose)} <= there]
    return ", ".join(styles) or "none"
