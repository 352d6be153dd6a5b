"""`openmic runs`."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..evaluation.shown import shown_rate, undecided
from ..store.search.runs import RunLine, newest_runs
from .options import JsonOption, StoreOption, print_json, read_store
from .transcripts.lines import one_line


def runs(
    number: Annotated[int, typer.Option("-n", "--number", min=1, help="How many to list.")] = 20,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs of a store, the newest first, with what their adapters achieved on test inputs.

    \b
    Examples:
      openmic runs
      openmic runs -n 100 --json | jq '.[] | select(.status == "interrupted") | .run'
    """
    with read_store(store) as reader:
        found, more = newest_runs(reader, number)
    if as_json:
        print_json([_as_json(line) for line in found])
        return
    if not found:
        typer.echo("no run yet; `openmic run` makes one", err=True)
        return
    for text in _lines(found):
        typer.echo(text)
    if more:
        typer.echo(f"these are the newest {number}; -n {2 * number} lists more", err=True)


def _as_json(line: RunLine) -> dict[str, Any]:
    run = line.run
    return {
        "run": run.id,
        "name": run.name,
        "task": run.task,
        "kind": run.kind,
        "status": line.standing,
        "student": line.student,
        "objective": line.objective,
        "seed": run.seed,
        "simulated_cast": bool(run.cast.get("simulated")),
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "version": line.promoted.version if line.promoted is not None else None,
        "win_tie_rate": line.tested["win_tie_rate"] if line.tested else None,
        "ci": line.tested["ci"] if line.tested else None,
    }


def _lines(found: Sequence[RunLine]) -> list[str]:
    """Two lines for each run, the first of at most 80 columns where its name is short."""
    told = []
    for line in found:
        run = line.run
        kind = "" if run.kind == "campaign" else f"{run.kind}, "
        told.append(
            f"{run.id}  {run.created_at:%Y-%m-%d %H:%M}  {line.standing:11}  {one_line(run.name)[:24]}".rstrip()
        )
        cast = ", simulated cast" if run.cast.get("simulated") else ""
        what = f"{kind}{one_line(line.student)[:40]}, {one_line(line.objective)[:30]}, seed {run.seed}{cast}"
        told.append(f"    {what}")
        if line.promoted is not None and line.tested is not None:
            ends = "" if undecided(line.tested) else " ({:.1%} to {:.1%})".format(*line.tested["ci"])
            told.append(f"    v{line.promoted.version}: win-tie rate {shown_rate(line.tested)}{ends}")
    return told
