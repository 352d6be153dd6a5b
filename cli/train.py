"""`openmic train`: a student from stored transcripts alone."""

import sys
from typing import Annotated

import typer

from ..core.config import store_address
from ..core.errors import ConfigError
from ..store import Run, Store
from .options import JsonOption, OverridesOption, RunArgument, StoreOption, print_json, store_flag
from .progress import progress_display, stdout_for_data


def train(
    run: RunArgument = "latest",
    version: Annotated[
        str | None, typer.Argument(metavar="[vN]", help="With --again: the adapter. Default: all that need it.")
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="sft, sd, brio, dpo, simpo, kto, brio-dpo or opd. Default: the run's own."),
    ] = None,
    overrides: OverridesOption = None,
    from_version: Annotated[
        int | None,
        typer.Option("--from-version", help="The adapter version to start from. Default: the one after imitation."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make adapters anew whose files are missing or were altered.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train from a run's stored transcripts alone: nothing is generated, nobody is asked.

    What is made belongs to a run of its own; the run it comes from is left as it is. Of a run that `rejudge` made, the
    new critic's preferences are learned from.

    With --again, a run's own adapters that were lost or altered are made anew from what they learned from.

    \b
    Examples:
      openmic train latest --objective simpo
      openmic train 01JD8Z --objective brio --set training.learning_rate=1e-4 --set preferences.revisions=false
      openmic train --again 01JD8Z v2
    """
    if again:
        if objective or overrides or from_version is not None:
            raise ConfigError("--again makes an adapter as it was: leave out --objective, --set and --from-version")
        _train_again(run, version, store, as_json=as_json)
        return
    if version is not None:
        raise ConfigError(f"{version!r}: an adapter is named with --again alone; --from-version says where to start")
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


def _train_again(name: str, version: str | None, store: str | None, *, as_json: bool) -> None:
    from ..graph.runs.again import train_again

    number = None if version is None else _version(version)
    url = store_address(store)
    with Store.open_readonly(url) as reader:
        run: Run = reader.resolve_run(name)
    with Store.open(url) as opened, stdout_for_data():
        done = train_again(opened, run, number, progress_display())
    if as_json:
        made = [{"version": one.version, "adapter_path": one.place, "same_bytes": one.same} for one in done]
        print_json({"run": run.id, "made": made})
        return
    for one in done:
        typer.echo(f"adapter v{one.version} of run {run.id} was made anew: {one.place}")
        typer.echo(
            "  every byte is as it was"
            if one.same
            else "  its bytes are others than those that were evaluated, as on another machine or with other "
            "versions of packages; what was measured is of the old ones"
        )
    if not done:
        typer.echo(f"{f'adapter v{number}' if number else 'every adapter'} of run {run.id} is whole: nothing was made")


def _version(name: str) -> int:
    number = name.removeprefix("v")
    if not number.isascii() or not number.isdigit():
        raise ConfigError(f"{name!r} is no adapter version: give one such as v2")
    return int(number)
