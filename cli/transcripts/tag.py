"""`openmic transcripts tag`: words on a dialogue to find it again by."""

import getpass
from typing import Annotated

import typer

from ...core.config import store_address
from ...core.errors import ConfigError
from ...store import Store
from ...store.tags import tag_changes, tags_of
from ..options import JsonOption, StoreOption, print_json, read_store
from .choices import resolve_dialogue
from .lines import one_line


def tag(
    dialogue: Annotated[str, typer.Argument(help="A dialogue's id, a unique beginning of it, or `latest`.")],
    tags: Annotated[list[str], typer.Argument(metavar="TAG...", help="The tags.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take them off instead.")] = False,
    author: Annotated[str | None, typer.Option(help="Who says so. Default: the user's name.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put tags on a dialogue, or take them off; `transcripts list --tag` finds it by them.

    \b
    Examples:
      openmic transcripts tag latest funny keep
      openmic transcripts tag 3f9a1c keep --remove
    """
    wanted = [" ".join(name.split()) for name in tags]
    if not all(wanted):
        raise ConfigError("a tag is a word or some: this one is empty")
    with read_store(store) as reader:
        found = resolve_dialogue(reader, dialogue)
    with Store.open(store_address(store)) as opened:
        changes = tag_changes(opened, found, wanted, author=author or getpass.getuser(), remove=remove)
        opened.add(*changes)
        present = tags_of(opened, [found.id]).get(found.id, [])
    if as_json:
        print_json({"dialogue": found.id, "tags": present})
    else:
        typer.echo(f"dialogue {found.id}: {one_line(', '.join(present)) or 'no tags'}")
