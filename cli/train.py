"""`openmic train`: a student from stored transcripts alone."""

import sys
from typing import Annotated

import typer

from ..core.config import store_address
from ..store import Store
from .options import JsonOption, OverridesOption, RunArgument, StoreOption, print_json, store_flag
from .progress import progress_display, stdout_for_data


def train(
    run: RunArgument = "latest",
    objective: Annotated[
        str | None, typer.Option(help="sft, sd, brio, dpo, simpo, kto or brio-dpo. Default: as the run was configured.")
    ] = None,
    overrides: OverridesOption = None,
    from_version: Annotated[
        int | None,
        typer.Option("--from-version", help="The adapter version to start from. Default: the one after imitation."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train from a run's stored transcripts alone: nothing is generated, nobody is asked.

    What is made belongs to a run of its own; the run it comes from is left as it is. Of a run that `rejudge` made, the
    new critic's preferences are learned from.

    \b
    Examples:
      openmic train latest --objective simpo
      openmic train 01JD8Z --objective brio --set training.learning_rate=1e-4 --set preferences.revisions=false
    """
    from ..graph.report import run_status
    from ..graph.runs.retrain import start_training

    url = store_address(store)
    with Store.open_readonly(url) as reader:
        source = reader.resolve_run(run)
    with Store.open(url) as opened:
        with stdout_for_data():
            finished = start_training(
                opened,
                source,
                objective=objective,
                overrides=overrides or [],
                start=from_version,
                arguments=sys.argv[1:],
                progress=progress_display(),
            )
        status = run_status(opened, finished)
    if as_json:
        print_json(status)
        return
    trained = status["versions"][-1]
    typer.echo(
        f"run {finished.id}: adapter v{trained['version']} trained with {trained['objective']} "
        f"on {trained['examples']} examples of run {source.id}\nadapter  {trained['adapter_path']}"
    )
    typer.echo(f'\ntry next:\n  openmic chat --run {finished.id}{store_flag(url)} "The kettle broke again."')
