"""`openmic ratings`: what people's blind ratings of a run come to."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..core.config import saved_section
from ..core.records import RatedPairs
from ..core.text import printable
from ..evaluation.shown import NOTHING_DECIDED
from .options import JsonOption, RunArgument, StoreOption, print_json, read_store
from .report import report_console

if TYPE_CHECKING:
    from ..evaluation.human import RatingResults, Share
    from ..evaluation.intervals import Interval
    from ..evaluation.raters import RaterAgreement


def ratings(
    run: RunArgument = "latest",
    what: Annotated[
        RatedPairs, typer.Option("--of", help="Outputs on test inputs against the teacher's, or pairs of dialogues.")
    ] = "test",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare people's blind ratings with the critic, and with each other. `openmic view` is where they rate.

    \b
    Examples:
      openmic ratings latest
      openmic ratings 01JD8Z --of dialogues --json
    """
    from ..core.config import EvaluationSettings
    from ..evaluation.human import rating_results
    from ..store.ratings import rated_pairs

    with read_store(store) as reader:
        found = reader.resolve_run(run)
        pairs = rated_pairs(reader, found, what)
    settings = saved_section(found, "evaluation", EvaluationSettings)
    results = rating_results(pairs, settings, found.seed)
    if as_json:
        print_json({"run": found.id, "of": what, "confidence": settings.confidence, **results.as_json()})
    elif not results.pairs:
        typer.echo(f"nobody has rated any of these pairs yet: `openmic view {found.id}`, then Rate blind", err=True)
    else:
        _print(results, "judge" if what == "test" else "critic", f"{settings.confidence * 100:g}%")


def _print(results: "RatingResults", critic: str, confidence: str) -> None:
    console = report_console()
    raters = ", ".join(f"{printable(name)} {count}" for name, count in results.raters.items())
    console.print(
        f"{results.ratings} ratings of {results.pairs} pairs ({raters}); {results.skipped} skipped", markup=False
    )
    if results.few:
        console.print("[bold]too few pairs to say much[/]: the intervals are narrower than they should be")
    if results.versions:
        table = _table("version", "inputs", "win", "tie", "loss", "people", confidence, "judge", "judge - people")
        for row in results.versions:
            low, high = row.difference.low, row.difference.high
            table.add_row(
                f"v{row.version}",
                *map(str, (row.pairs, row.win, row.tie, row.loss)),
                *([f"{row.people.value:.1%}", _ends(row.people)] if row.people_decided else [NOTHING_DECIDED, "-"]),
                f"{row.judge.value:.1%}" if row.judge_decided else NOTHING_DECIDED,
                f"{row.difference.value:+.1%} ({low:+.1%} to {high:+.1%})",
            )
        console.print("\n[bold]Win-tie rate against the teacher[/]", table, sep="\n")
    table = _table("between", "compared", "same outcome", confidence, "kappa", confidence, "same winner", confidence)
    for name, agreement in ((f"{critic} and people", results.critic), ("people", results.people)):
        if agreement is not None:
            table.add_row(name, *_agreement(agreement))
    console.print("\n[bold]Agreement[/]", table, sep="\n")
    table = _table("share", "", confidence, "of")
    position, length = results.position, results.length
    for name, share in (
        ("people choose the left text", position.people_left),
        (f"the {critic} chooses the text shown first", position.critic_first),
        (f"the {critic} changes its mind with the order", position.critic_turned),
        ("people choose the longer text", length.people_longer),
        (f"the {critic} chooses the longer text", length.critic_longer),
        (f"people choose the shorter, the {critic} the longer", length.critic_only),
    ):
        table.add_row(name, *_share(share))
    console.print("\n[bold]Position and length[/]", table, sep="\n")


def _table(first: str, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first)
    for heading in headings:
        table.add_column(escape(heading), justify="right")
    return table


def _agreement(found: "RaterAgreement") -> list[str]:
    kappa = ["-", "-"] if found.kappa is None else [f"{found.kappa.value:.2f}", _ends(found.kappa, ".2f")]
    same = ["-", "-"] if found.same_winner is None else [f"{found.same_winner.value:.1%}", _ends(found.same_winner)]
    return [str(found.n), f"{found.share.value:.1%}", _ends(found.share), *kappa, *same]


def _share(found: "Share") -> list[str]:
    if found.share is None:
        return ["-", "-", "0"]
    return [f"{found.share.value:.1%}", _ends(found.share), str(found.n)]


def _ends(interval: "Interval", form: str = ".1%") -> str:
    return f"{interval.low:{form}} to {interval.high:{form}}"
