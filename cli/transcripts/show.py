"""`openmic transcripts show`: one dialogue."""

from typing import Annotated

import typer

from ...store.tags import tags_of
from ..options import JsonOption, StoreOption, print_json, read_store
from ..report import report_console
from .choices import DialogueArgument, resolve_dialogue
from .conversation import Requests, conversation_json, print_conversation


def show(
    dialogue: DialogueArgument = "latest",
    raw: Annotated[bool, typer.Option("--raw", help="Show every request and raw reply too.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dialogue: who said what, the critique beside what it criticises, the verdicts of both orders.

    Of a revision, what was changed is shown word by word. Where there are no colours, what was removed stands in
    [-such-] and what was added in {+such+} brackets.

    \b
    Examples:
      openmic transcripts show latest
      openmic transcripts show 3f9a1c --raw
      openmic transcripts show 3f9a1c --json
    """
    with read_store(store) as reader:
        conversation = reader.conversation(resolve_dialogue(reader, dialogue).id)
        tags = tags_of(reader, [conversation.dialogue.id]).get(conversation.dialogue.id, [])
        requests = Requests.of(reader, conversation) if raw else None
    if as_json:
        print_json(conversation_json(conversation, tags=tags, requests=requests))
    else:
        print_conversation(report_console(soft_wrap=False), conversation, tags=tags, requests=requests)
