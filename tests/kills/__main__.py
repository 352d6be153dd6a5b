"""Kill processes of tiny campaigns at random moments, resume, and compare: `python -m tests.kills [N] [--seed S]`.

Prints a line for each kill and a table at the end; ends with 1 where a promise was broken. The same seed kills the
same processes at the same shares of an undisturbed run's time.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import typer

from .. import tiny
from .trial import Trial, Victim, carry_out, undisturbed

AT_ONCE = 2
LIVES: dict[Victim, float] = {"driver": 1.0, "student": 0.5, "trainer": 0.5, "cast": 0.6}
"""About the share of an undisturbed run's time that each is there."""


def main() -> int:
    """Carry out the trials; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__.splitlines()[0])
    parser.add_argument("number", nargs="?", type=int, default=20, help="how many kills (20)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what is killed when")
    given = parser.parse_args()
    chance = random.Random(given.seed)
    typer.echo(f"seed {given.seed}: python -m tests.kills {given.number} --seed {given.seed}")
    tokenizer = tiny.causal_tokenizer()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        student = tiny.save(tiny.llama(tokenizer), tokenizer, folder / "students" / "tiny")
        expected, seconds = undisturbed(folder / "undisturbed", student)
        typer.echo(f"undisturbed: {seconds:.0f} s")
        victims: Sequence[Victim] = get_args(Victim)
        trials = [
            Trial(victim, chance.uniform(0.0, LIVES[victim]) * seconds)
            for victim in (victims[place % len(victims)] for place in range(given.number))
        ]

        def one(place: int) -> None:
            trial, where = trials[place], folder / f"trial-{place}"
            where.mkdir()
            carry_out(trial, where, student, expected)
            typer.echo(
                f"{place + 1}. {trial.victim} after {trial.after_s:.1f} s: "
                f"{'; '.join(trial.wrong) or ('held' if trial.killed else 'over before it could be killed')}"
                f" ({trial.resumes} resumed, {trial.asked_again} asked again)"
            )
            if not trial.wrong:
                shutil.rmtree(where)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(one, range(given.number)))
    typer.echo(table(trials))
    return int(any(trial.wrong for trial in trials))


def table(trials: Sequence[Trial]) -> str:
    """The trials by what was killed."""
    lines = [
        "| killed | times | held | broken | resumed | over before | asked again |",
        "|---|---|---|---|---|---|---|",
    ]
    for victim in get_args(Victim):
        of = [trial for trial in trials if trial.victim == victim]
        killed = [trial for trial in of if trial.killed]
        held = sum(not trial.wrong for trial in killed)
        lines.append(
            f"| {victim} | {len(killed)} | {held} | {sum(bool(trial.wrong) for trial in of)} "
            f"| {sum(trial.resumes for trial in of)} | {len(of) - len(killed)} | {sum(t.asked_again for t in of)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
