"""The pages of docs/reference that are made from the code: `make reference` writes them anew.

Keys, types, defaults, bounds and descriptions are pydantic's; what commands say of themselves is typer's help.
"""

import os
import sys
from collections.abc import Iterator
from inspect import get_annotations
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from openmic.agents.tasks import prompt_check
from openmic.agents.tasks.task_file import TaskFile
from openmic.core.config import RunConfig
from openmic.core.plugs import Plug
from openmic.graph.experiments.spec import Experiment

from ..store import schema_page
from .blocks import ROOT

FOLDER = ROOT / "docs" / "reference"
WIDTH = 100
"""Columns of a command's help."""
TITLES: dict[type[BaseModel], tuple[str, str]] = {
    RunConfig: (
        "The configuration",
        "All keys of a run's configuration. A YAML file, `--set KEY=VALUE` and the environment (`OPENMIC_A__B` sets "
        "`a.b`) give them; an unknown key is an error. `openmic config show` prints what a configuration comes to, "
        "`openmic config schema` all of this as JSON schema, for editors.",
    ),
    TaskFile: (
        "The task file",
        "All keys of a task's file; [tasks](../how-to/tasks.md) has one from beginning to end. Prompts are Jinja "
        "templates: what each has to show, and what it may show besides, stands beside it.",
    ),
    Experiment: (
        "The experiment file",
        "All keys of the file that `openmic experiment` reads; [experiments](../how-to/experiments.md) shows one.",
    ),
}
KINDS = {bool: "bool", int: "int", float: "float", str: "text", Path: "path", Any: "any", NoneType: "null"}


def pages() -> dict[Path, str]:
    """Every page that is made from the code, as it should be now."""
    made = {
        FOLDER / "configuration.md": file_page(RunConfig),
        FOLDER / "task-file.md": file_page(TaskFile),
        FOLDER / "experiment-file.md": file_page(Experiment),
        FOLDER / "commands.md": commands_page(),
    }
    return made | {schema_page.PAGE: schema_page.written(schema_page.PAGE.read_text(encoding="utf-8"))}


def file_page(model: type[BaseModel]) -> str:
    """The keys of a file, section by section."""
    title, about = TITLES[model]
    note = "<!-- Made from the code by `make reference`; edit the descriptions there. -->"
    return "\n\n".join([f"# {title}", note, about, *sections(model, (), None, {})]) + "\n"


def sections(
    model: type[BaseModel], path: tuple[str, ...], defaults: BaseModel | None, shown: dict[tuple[type, str, str], str]
) -> Iterator[str]:
    """A table of a section's keys, then its own sections.

    Args:
        model: The section's.
        path: The keys that lead to it.
        defaults: What it has where nothing is given; None: as its class says.
        shown: Where keys were shown that several sections have, by class, name and default; added to.
    """
    here = ".".join(path)
    rows, alike, beneath = list[str](), dict[str, list[str]](), list[tuple[str, FieldInfo, type[BaseModel]]]()
    for name, field in model.model_fields.items():
        owner = next(base for base in model.__mro__ if name in get_annotations(base))
        default = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
        if (earlier := shown.get((owner, name, repr(default)))) is not None:
            alike.setdefault(earlier, []).append(name)
            continue
        shown[owner, name, repr(default)] = here
        inner = section_of(field.annotation)
        if inner is not None:
            beneath.append((name, field, inner))
        rows.append(row((*path, name), field, default, link=inner is not None))
    if path:
        yield f"## {here}"
        yield " ".join((model.__doc__ or "").split())
    if rows:
        yield "\n".join(["| key | type | default | bounds | |", "|---|---|---|---|---|", *rows])
    for earlier, names in alike.items():
        yield f"As under {link(earlier)}: {', '.join(f'`{name}`' for name in names)}."
    for name, field, inner in beneath:
        default = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
        yield from sections(inner, (*path, name), default if isinstance(default, inner) else None, shown)


def link(path: str) -> str:
    """A section of the same page."""
    return f"[`{path}`](#{path.replace('.', '').lower()})"


def row(path: tuple[str, ...], field: FieldInfo, default: Any, *, link: bool) -> str:
    """A key's row."""
    required = field.is_required()
    shown = "required" if required else "" if isinstance(default, BaseModel) else f"`{as_yaml(default)}`"
    said = " ".join((field.description or "").split())
    cells = [f"`{'.'.join(path)}`", kind(field.annotation), shown, bounds(field), said + prompt_names(path)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_yaml(value: Any) -> str:
    """A default as YAML has it, in one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {as_yaml(inner)}" for name, inner in value.items()) + "}"
    return '""' if value == "" else str(value)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that stands under a key, if one does: alone, optional, in a list or in a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return None if annotation is Plug else annotation
    return next((found for inner in get_args(annotation) if (found := section_of(inner)) is not None), None)


def kind(annotation: Any) -> str:
    """A type in the words of YAML."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(map(kind, inner)))
    if origin is dict:
        return f"mapping to {kind(inner[1])}"
    if origin in {list, tuple}:
        several = [one for one in inner if one is not Ellipsis]
        return f"[{', '.join(map(kind, several))}]" if len(several) > 1 else f"list of {kind(several[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "object by name" if annotation is Plug else "section"
    return KINDS[annotation]


def bounds(field: FieldInfo) -> str:
    """Between which values a key's value lies, or how long it is."""
    found = []
    for mark in field.metadata:
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if (limit := getattr(mark, attribute, None)) is not None:
                found.append(f"{sign} {'2³¹' if limit == 2**31 else limit}")
        for attribute, sign in (("min_length", "at least"), ("max_length", "at most")):
            if (limit := getattr(mark, attribute, None)) is not None:
                found.append(f"{sign} {limit} long")
    return ", ".join(found)


def prompt_names(path: tuple[str, ...]) -> str:
    """What a task's prompt has to show, and what it may show besides."""
    if path not in prompt_check.NEEDED:
        return ""
    told = f" Has to show {', '.join(f'`{name}`' for name in prompt_check.NEEDED[path])}"
    return told + ("; may show `overused`." if path in prompt_check.WITH_OVERUSED else ".")


def commands_page() -> str:
    """What every command says of itself with `--help`."""
    os.environ["TERMINAL_WIDTH"] = str(WIDTH)
    from typer.main import get_command

    from openmic.cli.app import EPILOG, app

    about = (
        f"What each command says with `--help`. With `--json` a command prints data for programs on stdout; progress "
        f"goes to stderr. {EPILOG}"
    )
    return (
        "\n\n".join(
            [
                "# Commands",
                "<!-- Made from the code by `make reference`. -->",
                about,
                *helps(get_command(app), "openmic", None),
            ]
        )
        + "\n"
    )


def helps(command: Any, name: str, parent: Any) -> Iterator[str]:
    """A command's help and those of its subcommands."""
    with command.context_class(
        command,
        info_name=name,
        parent=parent,
        **command.context_settings,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    ) as context:
        text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        yield f"## {context.command_path}\n\n```text\n{text}\n```"
        for inner in getattr(command, "commands", {}):
            yield from helps(command.get_command(context, inner), inner, context)


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
