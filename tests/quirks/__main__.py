"""Hold a tiny campaign on every habit, and print what became of each: `python -m tests.quirks [HABIT ...]`."""

import sys
import tempfile
from pathlib import Path

import typer

from openmic.training.local_ray import ray_session

from .. import tiny
from .campaign import Campaign, Mixed, hold
from .habits import HABITS


def last_words(campaign: Campaign) -> str:
    """What a person read last where a run stopped."""
    lines = [line for line in campaign.stderr.splitlines() if line.strip() and not line.startswith("to go on:")]
    return lines[-1][:160] if campaign.code and lines else ""


def main(names: list[str]) -> None:
    """Print a row for each habit, and for all of them at once."""
    typer.echo("| habit | exit code | resumed | dialogues failed | bought twice | unfit texts | misread | last words |")
    typer.echo("|---|---|---|---|---|---|---|---|")
    if unknown := set(names) - {*HABITS, "mixed"}:
        raise SystemExit(f"there is no habit {', '.join(sorted(unknown))}; there are {', '.join(HABITS)} and mixed")
    tokenizer = tiny.causal_tokenizer()
    with tempfile.TemporaryDirectory() as folder, ray_session():
        student = tiny.save(tiny.llama(tokenizer), tokenizer, Path(folder) / "students" / "tiny")
        for name in names or [*HABITS, "mixed"]:
            mixed = Mixed(HABITS, 0.3, seed=7)
            habit = HABITS.get(name)
            say, models = (mixed, None) if habit is None else (habit.say, habit.models)
            found = hold(name, say, Path(folder) / name, student, models=models)
            typer.echo(
                f"| {name} | {found.code} | {found.resumed} | {found.dialogues_failed} | {found.bought_twice} "
                f"| {len(found.dirty)} | {found.misread} | {last_words(found)} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
