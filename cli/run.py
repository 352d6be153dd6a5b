"""`openmic run` and `openmic resume`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..core.config_file import load_config
from ..core.errors import ConfigError, OpenmicError
from ..core.ids import new_id
from ..core.records import Split
from ..store import Run, Store
from .options import JsonOption, OverridesOption, RunArgument, StoreOption, print_json, store_flag, store_url
from .progress import progress_display
from .report import print_next_steps, print_report

FINISHED_WITH_FAILURES = 3
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="auto|ADDRESS",
        help="Use the Ray cluster that this machine is part of (auto), or the one at HOST:PORT. "
        "Default: RAY_ADDRESS, else this machine alone.",
    ),
]


def run(
    config: Annotated[Path, typer.Argument(help="The configuration file.", metavar="CONFIG")] = Path(
        "examples/humor.yaml"
    ),
    overrides: OverridesOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, and change nothing.")
    ] = False,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Teach a student: demonstrations, imitation, rounds of dialogues and fine-tuning, evaluation, report.

    \b
    Examples:
      openmic run examples/humor.yaml
      openmic run examples/humor.yaml --set rounds=2 --set training.learning_rate=1e-4
      openmic run examples/humor.yaml --dry-run
      openmic run cluster.yaml --cluster auto
      OPENAI_API_KEY=... openmic run examples/humor.yaml \\
          --set cast.teacher.model=gpt-4.1 --set cast.critic.model=gpt-4.1-mini
    """
    from ..graph.preflight.checks import check
    from ..graph.runs.start import start_run

    settings = load_config(config, overrides or [])
    checked = check(settings)
    if dry_run:
        from .plan import plan, print_plan

        planned = plan(settings, checked)
        print_json(planned) if as_json else print_plan(planned)
        return
    display = progress_display()
    counts = ", ".join(f"{sum(e.split is split for e in checked.examples)} {split}" for split in Split)
    cast = "simulated cast" if checked.simulated else f"teacher {settings.cast.teacher.model}"
    display.print(f"openmic run {config} · task {checked.task.name} · {counts} inputs · {cast}")
    if checked.student.note:
        display.print(f"student {checked.student.name}: {checked.student.note}")
    if settings.cast.judge_is_critic:
        display.print("note: the judge is the critic itself, so figures overstate progress; set cast.judge.model")
    run_id = new_id()
    with _resumable(run_id, settings.store_url):
        finished = start_run(run_id, settings, checked, sys.argv[1:], display, cluster=cluster)
    _conclude(finished, settings.store_url, as_json=as_json)


def resume(
    run_name: RunArgument = "latest",
    store: StoreOption = None,
    cluster: ClusterOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was interrupted or failed; nothing that was done is done again.

    \b
    Examples:
      openmic resume
      openmic resume 01JD8Z
    """
    from ..graph.runs.resume import resume_any

    url = store_url(store)
    with Store.open_readonly(url) as reader:
        run_id = reader.resolve_run(run_name).id
    with _resumable(run_id, url), Store.open(url) as opened:
        finished = resume_any(opened, run_id, progress_display(), cluster=cluster)
    _conclude(finished, url, as_json=as_json)


@contextmanager
def _resumable(run_id: str, store: str) -> Iterator[None]:
    """Whatever ends the run early, say how to go on with it."""
    try:
        yield
    except (OpenmicError, KeyboardInterrupt) as error:
        if not isinstance(error, ConfigError) and _is_recorded(run_id, store):
            typer.echo(f"\nto go on: openmic resume {run_id}{store_flag(store)}", err=True)
        raise


def _is_recorded(run_id: str, url: str) -> bool:
    try:
        with Store.open_readonly(url) as store:
            return store.get(Run, run_id) is not None
    except OpenmicError:
        return False


def _conclude(finished: Run, url: str, *, as_json: bool) -> None:
    """The table, where everything is, and what to try next."""
    from ..graph.report import run_status

    with Store.open_readonly(url) as store:
        status = run_status(store, finished)
    if as_json:
        print_json(status)
    elif finished.kind != "campaign":
        typer.echo(f"run {finished.id} ({finished.kind} of {finished.source_run_id}) is finished")
    else:
        print_report(status)
        print_next_steps(status, url)
    if status["dialogues"]["failed"]:
        raise typer.Exit(FINISHED_WITH_FAILURES)
