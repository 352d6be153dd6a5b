"""`openmic status`."""

from ..core.text import printable_in
from .options import JsonOption, RunArgument, StoreOption, print_json, read_store, store_flag
from .report import print_report, wrapping_console
from .transcripts.lines import one_line

STANDING = {
    "running": "running",
    "finished": "finished",
    "failed": "failed; it can be resumed once the cause is mended",
    "interrupted": "interrupted; it can be resumed",
    "died": "ended without a word (killed?); it can be resumed",
}
"""What a person reads of a run's status."""


def status(run: RunArgument = "latest", store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show where a run stands and what its adapters achieved.

    \b
    Examples:
      openmic status
      openmic status latest --json | jq .gain
      openmic status latest --json | jq .funnel.drafts
    """
    from ..graph.report import run_status

    with read_store(store) as reader:
        found = run_status(reader, reader.resolve_run(run))
    if as_json:
        print_json(found)
        return
    import typer
    from rich.text import Text

    found, console = printable_in(found), wrapping_console()
    standing = STANDING[found["status"]]
    console.print(Text(f"run {found['run']} ({one_line(found['name'])}, task {found['task']}): {standing}"))
    if found["error"]:
        word = "stopped" if found["status"] == "interrupted" else "error"
        console.print(Text(f"{word}: {found['error']}"))
    print_report(found, funnel=True)
    if found["status"] not in {"running", "finished"}:
        typer.echo(f"to go on: openmic resume {found['run']}{store_flag(found['store'])}")
    typer.echo(f"store    {found['store']}\nadapter  {found['adapter_path'] or 'none yet'}")
