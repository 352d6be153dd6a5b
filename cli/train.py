"""`openmic train`: a student from stored transcripts alone."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..core.config import store_address
from ..core.errors import ConfigError
from ..core.section import from_home
from ..core.text import printable
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
    pairs: Annotated[
        str | None,
        typer.Option(
            "--pairs",
            metavar="FILE|DATASET",
            help="Preferences of other people's making: prompt, chosen and rejected. A file, a folder, or hf://…",
        ),
    ] = None,
    config_file: Annotated[
        Path | None,
        typer.Option("--config", help="With --pairs: a configuration whose student and training are meant."),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="With --pairs: the split of a dataset.")] = None,
    subset: Annotated[
        str | None, typer.Option("--subset", help="With --pairs: the configuration of a dataset on the hub.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train from a run's stored transcripts, or from pairs in a file: nothing is generated, nobody is asked.

    What is made belongs to a run of its own; the run it comes from is left as it is. Of a run that `rejudge` made, the
    new critic's preferences are learned from.

    With --pairs, preferences of other people's making are learned from, as a run of their own, which starts from the
    bare student. Texts, or conversations as TRL has them.

    With --again, a run's own adapters that were lost or altered are made anew from what they learned from.

    \b
    Examples:
      openmic train latest --objective simpo
      openmic train 01JD8Z --objective brio --set training.learning_rate=1e-4 --set preferences.revisions=false
      openmic train --again 01JD8Z v2
      openmic train --pairs pairs.jsonl --objective dpo --set student.model=smollm2-135m-instruct
    """
    if pairs is not None:
        if run != "latest" or version is not None or again or from_version is not None:
            raise ConfigError("--pairs makes a run of its own: leave out RUN, --again and --from-version")
        chosen = [f"training.objective={objective}"] if objective is not None else []
        own = [f"store={store}"] if store is not None else []
        _train_on_pairs(pairs, config_file, [*(overrides or []), *chosen, *own], split, subset, as_json=as_json)
        return
    if config_file is not None or split is not None or subset is not None:
        raise ConfigError("--config, --split and --subset are for --pairs; leave them out")
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


def _train_on_pairs(
    pairs: str, config_file: Path | None, overrides: list[str], split: str | None, subset: str | None, *, as_json: bool
) -> None:
    from ..core.config_file import Layer, layered_config, read_mapping
    from ..graph.report import run_status
    from ..graph.runs.given_pairs import base_values, train_on_pairs

    path = Path(from_home(pairs))
    layers = [Layer(base_values(path), "--pairs")]
    if config_file is not None:
        taken = {name: value for name, value in read_mapping(config_file).items() if name not in {"inputs", "name"}}
        layers.append(Layer(taken, str(config_file)))
    config = layered_config(layers, Path() if config_file is None else config_file.parent, overrides)
    with stdout_for_data():
        run_id, url = train_on_pairs(config, path, sys.argv[1:], progress_display(), split=split, subset=subset)
    with Store.open_readonly(url) as reader:
        status = run_status(reader, reader.resolve_run(run_id))
    if as_json:
        print_json(status)
        return
    trained = status["versions"][-1]
    typer.echo(
        f"run {run_id}: adapter v{trained['version']} trained with {trained['objective']} on {trained['examples']} "
        f"examples of {printable(pairs)}\nadapter  {trained['adapter_path']}"
    )
    typer.echo(f'\ntry next:\n  openmic chat --run {run_id}{store_flag(url)} "The kettle broke again."')


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
