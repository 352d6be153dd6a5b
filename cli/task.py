"""`openmic task`: which tasks there are, what a task file says, and whether it is valid."""

from collections import Counter
from textwrap import indent
from typing import Annotated, Any

import typer

from ..core.text import printable
from .options import JsonOption, print_json

app = typer.Typer(
    help="List the tasks that ship, print a task file, or check one.", no_args_is_help=True, rich_markup_mode=None
)

TaskArgument = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A task file, or the name of one that ships.")]


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
        typer.echo(f"{file.name:{width}}  {file.description}")


@app.command()
def show(task: TaskArgument) -> None:
    """Print a task file as it is, to read it or to start one's own from it.

    \b
    Examples:
      openmic task show humor
      openmic task show plain-language > mine.yaml
    """
    from ..agents.tasks.task_file import task_source

    typer.echo(task_source(task).text, nl=False)


@app.command()
def check(
    task: TaskArgument,
    text: Annotated[
        str | None, typer.Option("--input", metavar="TEXT", help="Print what each role would be asked about this text.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a task file: its keys, that every prompt renders and shows what it is for, and that texts stay in tags.

    What makes the file unusable is an error (exit code 2). What is only unwise is a warning.

    \b
    Examples:
      openmic task check mine.yaml
      openmic task check plain-language --input "Dogs shall be kept on a lead."
    """
    from ..agents.tasks.prompt_check import EXAMPLE, exposed_values
    from ..agents.tasks.task import load_task

    found = load_task(task)
    warnings = exposed_values(found.prompts)
    values = EXAMPLE if text is None else EXAMPLE | {"input": text}
    asked = [
        {
            "role": template.role,
            "purpose": template.purpose,
            "hash": template.hash,
            "messages": [message.model_dump() for message in found.render(template.role, template.purpose, **values)],
        }
        for template in found.templates()
        if template.purpose != "system"
    ]
    if as_json:
        about = {"name": found.name, "version": found.file.version, "valid": True, "hash": found.hash}
        print_json(about | {"warnings": warnings, "prompts": asked})
        return
    if text is not None:
        typer.echo("\n".join(_as_text(prompt) for prompt in asked))
    roles = Counter(prompt["role"] for prompt in asked)
    shares = ", ".join(f"{role} {count}" for role, count in roles.items())
    typer.echo(f"task {found.name} is valid: {len(asked)} prompts ({shares}), verdict styles: {_styles(asked)}")
    for warning in warnings:
        typer.echo(f"warning: {warning}")


def _as_text(prompt: dict[str, Any]) -> str:
    said = [f"{message['role']}:\n{indent(printable(message['content']), '  ')}" for message in prompt["messages"]]
    return "\n".join([f"--- {prompt['role']}.{prompt['purpose']}", *said, ""])


def _styles(asked: list[dict[str, Any]]) -> str:
    """The verdict styles that both critic and judge have a prompt for, as `verdict.style` names them."""
    there = {(prompt["role"], prompt["purpose"]) for prompt in asked}
    purposes = {"label": "compare", "reason": "reason", "cloze": "cloze"}
    return ", ".join(style for style, purpose in purposes.items() if {("critic", purpose), ("judge", purpose)} <= there)
