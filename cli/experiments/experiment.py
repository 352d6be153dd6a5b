"""`openmic experiment`: arms times seeds from one file, and one table."""

import shlex
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ...core.config_file import stray_variables
from ...core.errors import ConfigError, OpenmicError
from ...core.files.examples import example_file, example_names
from ...core.files.private import private_file, private_folder
from ...core.section import unwritable
from ...core.text import printable, spoken
from ...store import Store
from ..options import (
    JsonOption,
    NoCheckOption,
    OverridesOption,
    PlainOption,
    exit_by_failures,
    home_expanded,
    print_json,
)
from ..progress import progress_display, stdout_for_data
from ..run import ClusterOption
from .document import html, markdown
from .experiment_document import experiment_document, table_document

NAMED = 6
"""Arms that failed and are named; the table has them all."""


def experiment(
    file: Annotated[
        Path | None, typer.Argument(help="The experiment's file.", metavar="FILE", show_default=False)
    ] = None,
    example: Annotated[
        str | None,
        typer.Option("--example", metavar="NAME", help="One that ships, in place of a file: paper_table, …"),
    ] = None,
    overrides: OverridesOption = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report.html, report.md and results.json into this folder."),
    ] = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            metavar="N",
            help="Carry out this one of the file's `seeds` alone (none other can be given, nor by --set seed=); may be "
            "repeated. Other processes may do the others meanwhile.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check every arm, say how long it takes, and change nothing.")
    ] = False,
    cluster: ClusterOption = None,
    no_check: NoCheckOption = False,
    plain: PlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Carry out arms times seeds from one file, and print one table.

    What arms have in common is done once. What is done already is found and not done again, so the same command goes on
    with what was interrupted; of a file that was changed it does what is different. An arm that fails is named in the
    table, and the others go on; the same command tries it again. With --seed several processes share the work, on one
    machine or, with PostgreSQL, on many; the command without it then makes the table of all.

    \b
    Examples:
      openmic experiment examples/paper_table.yaml --dry-run
      openmic experiment --example biased_critic
      openmic experiment examples/paper_table.yaml --out paper-table
      openmic experiment examples/biased_critic.yaml --set evaluation.test_inputs=40
      openmic experiment examples/paper_table.yaml --seed 2
    """
    from ...graph.experiments.carry_out import check_experiment, chosen_seeds, run_experiment
    from ...graph.experiments.results import experiment_named, experiment_results, sampled_outputs
    from ...graph.experiments.spec import read_experiment

    for line in stray_variables():
        typer.echo(f"note: {line}", err=True)
    folder = home_expanded(out)
    given = _experiment_file(file, example)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {str(folder)!r} is a file; name a folder")
    if folder is not None and (problem := unwritable(folder)) is not None:
        raise ConfigError(f"--out {str(folder)!r} cannot be written: {problem}; name another folder")
    with stdout_for_data():
        found = check_experiment(read_experiment(given, overrides or []), cluster=cluster, ask=not no_check)
    chosen = chosen_seeds(found.read, seeds or [])
    if dry_run:
        planned = experiment_plan(found, chosen)
        print_json(planned) if as_json else print_experiment_plan(planned)
        return
    progress, name = progress_display(plain=plain), found.read.experiment.name
    for note in found.notes:
        progress.print(f"note: {note}")
    with stdout_for_data(), _to_go_on():
        run_experiment(found, progress, arguments=sys.argv[1:], cluster=cluster, ask=not no_check, seeds=chosen)
    with Store.open_readonly(found.store) as reader:
        row = experiment_named(reader, name)
        results = experiment_results(reader, row)
        for words, again in not_done(results, chosen):
            progress.print(words)
            command = ["openmic", "experiment", *(["--example", example] if example is not None else [str(file)])]
            command += [part for line in overrides or [] for part in ("--set", line)]
            command += [] if out is None else ["--out", str(out)]
            command += [] if cluster is None else ["--cluster", cluster]
            command += ["--no-check"] * no_check
            command += [part for seed in again for part in ("--seed", str(seed))]
            typer.echo(printable(f"  {shlex.join(command)}"), err=True)
        if folder is not None:
            write_report(folder, results, sampled_outputs(reader, row))
            progress.print(f"written: {folder}/report.html, report.md, results.json")
    print_json(results) if as_json else typer.echo(markdown(table_document(results)), nl=False)
    exit_by_failures(sum(one["seed"] in chosen for one in results["failed"]))


def not_done(results: Mapping[str, Any], tried: Collection[int]) -> Iterator[tuple[str, list[int]]]:
    """What is said of cells that are not done, and the seeds that do them, or try them again.

    Args:
        results: As `experiment_results` gives them.
        tried: The seeds that were carried out just now: what is not done of them failed.
    """
    failed = [one for one in results["failed"] if one["seed"] in tried or one["state"] == "failed"]
    left = sorted({one["seed"] for one in results["failed"] if one not in failed})
    if left:
        seeds = f"seed{'s' * (len(left) > 1)} {', '.join(map(str, left))}"
        yield f"the table is not whole yet: {seeds} left to be done, unless another process is at it:", left
    if failed:
        names = [f"{one['arm']} (seed {one['seed']})" for one in failed]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        yield f"failed: {', '.join(names[:NAMED])}{more}; to try again:", sorted({one["seed"] for one in failed})


def _experiment_file(file: Path | None, example: str | None) -> Path:
    """The file that is meant.

    Raises:
        ConfigError: none is given, or two are.
    """
    if (file is None) is (example is None):
        names = ", ".join(example_names(experiments=True))
        what = "two experiments are given" if file else "no experiment is given"
        raise ConfigError(f"{what}; give a file, or --example with one of {names}")
    return example_file(example, experiments=True) if example is not None else Path(str(file))


def write_report(folder: Path, results: dict[str, Any], samples: list[dict[str, Any]]) -> None:
    """The report of an experiment in all its forms."""
    import json

    private_folder(folder)
    document = experiment_document(results, samples)
    texts = {
        "report.html": html(document),
        "report.md": markdown(document),
        "results.json": json.dumps(results | {"samples": samples}, ensure_ascii=False, indent=2),
    }
    for name, text in texts.items():
        private_file(folder / name)
        (folder / name).write_text(text, encoding="utf-8")


def experiment_plan(found: Any, seeds: Sequence[int]) -> dict[str, Any]:
    """What an experiment would do with these seeds, and how long; `found` is what `check_experiment` returned."""
    from ...core.errors import StoreError
    from ...graph.experiments.carry_out import done_already
    from ...graph.experiments.forecast import foreseen

    try:
        with Store.open_readonly(found.store) as reader:
            done = done_already(reader, found)
    except StoreError:  # there need not be one yet
        done = frozenset()
    chosen = [cell for cell in found.cells if cell.seed in seeds]
    cells = foreseen(chosen, done)
    names = list(found.read.experiment.arms)
    kinds = {cell.arm: cell.kind for cell in found.cells}
    return {
        "experiment": found.read.experiment.name,
        "seeds": list(seeds),
        "baseline": found.read.experiment.measured_over,
        "store": found.store,
        "notes": found.notes,
        "done": sum((cell.arm, cell.seed) in done for cell in chosen),
        "runs": sum(cell.kind != "adapter" for cell in chosen),
        "seconds": cells["seconds"],
        "arms": [
            {
                "arm": name,
                "kind": kinds[name],
                "seconds": round(sum(one["seconds"] for one in cells["cells"] if one["arm"] == name), 1),
                "by_seed": {one["seed"]: one["stages"] for one in cells["cells"] if one["arm"] == name},
            }
            for name in names
        ],
    }


_KINDS = {
    "campaign": "a campaign",
    "train": "a training on another arm's transcripts",
    "evaluate": "another evaluation of an arm's adapter",
    "adapter": "an arm's adapter as it is",
}


def print_experiment_plan(planned: dict[str, Any]) -> None:
    """The plan for a person, on stdout."""
    typer.echo("Everything checks out; nothing was started.")
    seeds = ", ".join(map(str, planned["seeds"]))
    typer.echo(
        printable(
            f"experiment {planned['experiment']}: {len(planned['arms'])} arms with seeds {seeds}, {planned['runs']} "
            f"runs in {planned['store']}, {planned['done']} cells done already; gains over {planned['baseline']}"
        )
    )
    width = max(len(arm["arm"]) for arm in planned["arms"])
    for arm in planned["arms"]:
        typer.echo(printable(f"  {arm['arm']:<{width}}  {spoken(arm['seconds']):>8}  {_KINDS[arm['kind']]}"))
    typer.echo(
        f"time: {spoken(planned['seconds'])} or more in all; what arms share is counted with the first of them\n"
        "  (starting is taken for 15 s; what else it rests on: openmic run CONFIG --dry-run)"
    )
    for note in planned["notes"]:
        typer.echo(printable(f"note: {note}"))


@contextmanager
def _to_go_on() -> Iterator[None]:
    """Whatever ends it early, say how to go on."""
    try:
        yield
    except OpenmicError as error:
        if not isinstance(error, ConfigError):
            typer.echo("\nto go on: the same command; nothing that was done is done again", err=True)
        raise
