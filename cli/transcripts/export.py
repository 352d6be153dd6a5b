"""`openmic transcripts export`: transcripts as files that others read."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ...core.errors import ConfigError
from ...core.records import Split
from ...store.export import FILE_KINDS, ExportForm, FileKind, export
from ..options import JsonOption, StoreOption, home_expanded, print_json, read_store
from .choices import (
    AdapterOption,
    AgentOption,
    RoundOption,
    StageOption,
    StatusOption,
    StopOption,
    TagOption,
    TextOption,
    VerdictOption,
    filter_of,
    stage_of,
)


class SplitChoice(StrEnum):
    """Which inputs."""

    TRAIN = "train"
    DEV = "dev"
    TEST = "test"
    ALL = "all"


def export_rows(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, a unique beginning of it, or `latest`.")],
    target: Annotated[Path, typer.Argument(callback=home_expanded, help="A folder, or a file if it has a suffix.")],
    form: Annotated[ExportForm, typer.Option("--format", help="What the rows are.")] = "preference",
    to: Annotated[
        FileKind | None, typer.Option("--to", help="What the files are. Default: by the suffix, else jsonl.")
    ] = None,
    split: Annotated[
        list[SplitChoice] | None,
        typer.Option("--split", help="Only these inputs; may be repeated. Default: train; of transcripts, all."),
    ] = None,
    trained: Annotated[
        bool, typer.Option("--trained", help="Only what the run's adapters learned from.", show_default=False)
    ] = False,
    stage: StageOption = None,
    round_number: RoundOption = None,
    agent: AgentOption = None,
    adapter: AdapterOption = None,
    status: StatusOption = None,
    stop_reason: StopOption = None,
    verdict: VerdictOption = None,
    tag: TagOption = None,
    text: TextOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's transcripts, or what can be learned from them, to files, with a data card.

    `preference`, `sft` and `kto` are in TRL's conversational form, with the prompts that the student was asked with.
    Held-out inputs are left out of them unless --split asks for them. A folder gets a file for each split.

    \b
    Examples:
      openmic transcripts export latest preferences
      openmic transcripts export latest trained.jsonl --trained
      openmic transcripts export latest data/kto --format kto --to parquet
      openmic transcripts export latest test.csv --format transcript --split test --stage evaluate --adapter 2
    """
    kind = _kind(to, target)
    splits = (
        None if not split else tuple(Split) if SplitChoice.ALL in split else tuple(Split(one.value) for one in split)
    )
    wanted = filter_of(
        stage=stage_of(stage),
        round_number=round_number,
        status=status,
        stop_reason=stop_reason,
        agent=agent,
        adapter=adapter,
        verdict=verdict,
        tag=tag,
        text=text,
    )
    with read_store(store) as reader:
        summary = export(
            reader, reader.resolve_run(run), target, form, kind, wanted=wanted, splits=splits, trained=trained
        )
    if as_json:
        print_json(summary.as_json())
        return
    rows = ", ".join(f"{count} {name}" for name, count in summary.rows.items())
    typer.echo(f"{summary.path}: {rows} rows; {summary.card} says what they are")


def _kind(to: FileKind | None, target: Path) -> FileKind:
    by_suffix = target.suffix.removeprefix(".").lower()
    if not by_suffix:
        return "jsonl" if to is None else to
    for known in FILE_KINDS:
        if known == by_suffix and to in {None, known}:
            return known
    raise ConfigError(
        f"{str(target)!r} has the suffix .{by_suffix}" + (f" and --to says {to}" if to is not None else "") + ": "
        "name a file that ends in .jsonl, .csv or .parquet, or a folder without a suffix"
    )
