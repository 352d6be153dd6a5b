"""`openmic transcripts explain`: where a text or an adapter comes from, and what became of it."""

from typing import Annotated

import typer

from ...store.lineage.explain import explain_adapter, explain_turn
from ...store.lineage.turn_names import resolve_adapter, resolve_turn
from ..options import JsonOption, StoreOption, print_json, read_store
from ..report import report_console
from .lines import LIST_WIDTH
from .trees import adapter_tree, turn_tree


def explain(
    name: Annotated[
        str,
        typer.Argument(
            metavar="TURN|ADAPTER",
            help="A turn: its id, a unique beginning of it, or DIALOGUE#3. An adapter: v3 (latest run) or RUN:v3.",
        ),
    ],
    number: Annotated[
        int | None, typer.Option("-n", "--number", min=0, help="The most things to name that an adapter learned from.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a text or an adapter, both ways: what it was made of, and what was made of it.

    A text goes back through its prompt and the adapter that wrote it to the preferences that the adapter learned from,
    and through their verdicts and critiques; and on to the trainings that learned from it and how their adapters did.

    \b
    Examples:
      openmic transcripts explain v2
      openmic transcripts explain latest#3
      openmic transcripts explain 01JD8Z:v1 -n 5
      openmic transcripts explain 3f9a1c20 --json
    """
    with read_store(store) as reader:
        adapter = resolve_adapter(reader, name)
        if adapter is not None:
            of_adapter = explain_adapter(reader, *adapter, limit=number)
            found, tree = of_adapter.as_json() if as_json else {}, adapter_tree(of_adapter)
        else:
            of_turn = explain_turn(reader, resolve_turn(reader, name).id, limit=number)
            found, tree = of_turn.as_json() if as_json else {}, turn_tree(of_turn)
    if as_json:
        print_json(found)
    else:
        report_console(soft_wrap=False, file_width=LIST_WIDTH).print(tree)
