"""`openmic critic-card`: how far a critic agrees with people on pairs that they labelled."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ...core.errors import ConfigError, told_of_disk
from ...core.section import unwritable
from ..options import JsonOption, NoCheckOption, OverridesOption, exit_by_failures, home_expanded, print_json
from ..progress import progress_display, stdout_for_data

_COLUMN = "COLUMN"


def critic_card(
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS", help="A .csv, .tsv, .jsonl, .json or .parquet file of labelled pairs.")
    ],
    critic: Annotated[
        str | None,
        typer.Option(metavar="SCORER", help="A scorer that ships, or module:attribute. Default: the configuration's."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A configuration whose critic, jury and task are meant.")
    ] = None,
    overrides: OverridesOption = None,
    first: Annotated[str, typer.Option(metavar=_COLUMN, help="The column of the first text.")] = "first",
    second: Annotated[str, typer.Option(metavar=_COLUMN, help="The column of the second.")] = "second",
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar=_COLUMN,
            help="A column of labels: 1, 2, or 0 for neither. May be repeated, for each person. Default: label.",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--input", metavar=_COLUMN, help="The input's column. Default: input, if there.")
    ] = None,
    margin: Annotated[
        str | None,
        typer.Option(metavar=_COLUMN, help="How far apart people found the two. Default: margin, if there."),
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the card as a page, too.")] = None,
    no_check: NoCheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """See how far a critic agrees with people: on pairs that they labelled, asked in both orders.

    Each pair is a row with two texts and a label. Prints Markdown. What endpoints reply is kept: the same command goes
    on where it was interrupted, and asks nothing twice.

    \b
    Examples:
      openmic critic-card pairs.csv --critic my_module:shorter_is_better
      openmic critic-card pairs.jsonl --label ann --label bob --set cast.critic.model=gpt-4.1 --html card.html
    """
    from ...card import critic_card as made

    page = home_expanded(html)
    if page is not None and not page.absolute().parent.is_dir():
        raise ConfigError(f"--html: there is no folder {str(page.absolute().parent)!r}; make it first")
    if page is not None and (problem := unwritable(page.parent)) is not None:
        raise ConfigError(f"--html: {str(page)!r} cannot be written: {problem}; name another")
    if page is not None and (page.is_dir() or (page.exists() and not os.access(page, os.W_OK))):
        why = "it is a folder" if page.is_dir() else "no permission to write it"
        raise ConfigError(f"--html: {str(page)!r} cannot be written: {why}; name another")
    if page is not None and page.exists() and page.samefile(home_expanded(pairs) or pairs):
        raise ConfigError(f"--html {str(page)!r} is the file of the pairs, and would be written over; name another")
    with stdout_for_data():
        card = made(
            Path(home_expanded(pairs) or pairs),
            critic=critic,
            config=home_expanded(config),
            overrides=overrides,
            first=first,
            second=second,
            labels=label or "label",
            source=source,
            margin=margin,
            progress=progress_display(),
            check=not no_check,
        )
    if as_json:
        print_json(card.as_json())
    else:
        typer.echo(card.to_markdown(), nl=False)
    if page is not None:
        try:
            page.write_text(card.to_html(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--html: {str(page)!r} cannot be written: {told_of_disk(error) or error}") from None
    exit_by_failures(sum(card.failed.values()))
