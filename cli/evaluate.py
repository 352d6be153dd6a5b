"""`openmic evaluate`: adapters against the teacher on held-out inputs, after the fact."""

from typing import Annotated

import typer

from ..core.config import store_address
from ..store import Store
from .options import JsonOption, NoCheckOption, RunArgument, StoreOption, exit_by_failures, print_json
from .progress import progress_display, stdout_for_data
from .report import print_report


def evaluate(
    run: RunArgument = "latest",
    versions: Annotated[
        list[int] | None, typer.Option("--version", help="An adapter version. May be repeated. Default: all.")
    ] = None,
    store: StoreOption = None,
    no_check: NoCheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a run's adapters on its test inputs, such as one that `openmic train` made.

    What was judged before is not judged again. The teacher's texts are those that the run, or the campaign it goes back
    to, has for its test inputs.

    \b
    Examples:
      openmic evaluate
      openmic evaluate 01JD8Z --version 2 --json
    """
    from ..graph.report import run_status
    from ..graph.runs.evaluate import evaluate_run

    with Store.open(store_address(store)) as opened:
        found = opened.resolve_run(run)
        with stdout_for_data():
            evaluate_run(opened, found, versions, progress_display(), ask=not no_check)
        status = run_status(opened, found)
    if as_json:
        print_json(status)
    else:
        print_report(status)
    exit_by_failures(status["stages"].get("evaluate", {}).get("failed", 0))
