"""`openmic run` and `openmic resume`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from .. import open_run
from ..core.config_file import load_config, stray_variables
from ..core.errors import BudgetError, ConfigError, InterruptedRunError, OpenmicError
from ..core.text import printable
from ..run_handle import Run
from .options import (
    ConfigurationArgument,
    ExampleOption,
    JsonOption,
    NoCheckOption,
    OverridesOption,
    PlainOption,
    RunArgument,
    StoreOption,
    configuration,
    exit_by_failures,
    print_json,
    store_flag,
)
from .progress import progress_display, stdout_for_data
from .report import failure_lines, print_next_steps, print_report, tracker_lines

BudgetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="budget.KEY=VALUE", help="Another budget, such as --set budget.usd=5. Nothing else may change."
    ),
]
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
    given: ConfigurationArgument = None,
    example: ExampleOption = None,
    overrides: OverridesOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print the plan, and change nothing.")
    ] = False,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Print requests, tokens and dollars beforehand; ask and change nothing."),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Take over what is unchanged of an earlier run in the same store."),
    ] = None,
    as_if: Annotated[
        int | None,
        typer.Option("--as-if", metavar="N", min=1, help="With --estimate: as if there were N inputs like those."),
    ] = None,
    assume: Annotated[
        list[str] | None,
        typer.Option(
            "--assume",
            metavar="FIGURE=VALUE",
            help="With --estimate or --dry-run: a figure that the time rests on, such as student.tokens_per_s=5000.",
        ),
    ] = None,
    cluster: ClusterOption = None,
    no_check: NoCheckOption = False,
    plain: PlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Teach a student: demonstrations, imitation, rounds of dialogues and fine-tuning, evaluation, report.

    \b
    Examples:
      openmic run --example humor
      openmic run examples/humor.yaml --set rounds=2 --set training.learning_rate=1e-4
      openmic run examples/humor.yaml --dry-run
      openmic run examples/humor.yaml --estimate --set cast.critic.model=gpt-4.1-mini
      openmic run examples/humor.yaml --set rounds=2 --from latest
      openmic run examples/humor.yaml --estimate --as-if 1000000 --assume student.tokens_per_s=25000
      openmic run cluster.yaml --cluster auto
      OPENAI_API_KEY=... openmic run examples/humor.yaml \\
          --set cast.teacher.model=gpt-4.1 --set cast.critic.model=gpt-4.1-mini
    """
    for line in stray_variables():
        typer.echo(f"note: {line}", err=True)
    config = configuration(given, example)
    if source is not None and (estimate or dry_run):
        taken = open_run(source, load_config(config, overrides or []).store_url)
        typer.echo(f"note: what is taken over from run {taken.id} comes off these figures", err=True)
    if as_if is not None and not estimate:
        raise ConfigError("--as-if says how many inputs --estimate is to reckon with; add --estimate, or leave it out")
    if assume and not (estimate or dry_run):
        raise ConfigError("--assume gives figures to --estimate and --dry-run; add one of them, or leave it out")
    if estimate:
        from ..graph.preflight.estimate import estimate as estimate_of
        from ..graph.preflight.estimate import sizing_of
        from ..graph.preflight.forecast import forecast_of
        from .plan import print_estimate

        settings = load_config(config, overrides or [])
        with stdout_for_data():
            sizing = sizing_of(settings, as_if=as_if)
            foreseen = forecast_of(settings, sizing, _figures(assume), source=source)
            counts = {split.value: count for split, count in sizing.inputs.items()}
            estimated = estimate_of(settings, sizing) | {"forecast": foreseen, "inputs": counts, "as_if": as_if}
        print_json(estimated) if as_json else print_estimate(estimated, settings)
        return
    if dry_run:
        from ..graph.preflight.checks import check
        from .plan import plan, print_plan

        settings = load_config(config, overrides or [])
        with stdout_for_data():
            checked = check(settings, cluster=cluster, ask=not no_check, assumed=_figures(assume), source=source)
            planned = plan(settings, checked)
        print_json(planned) if as_json else print_plan(planned)
        return
    from .. import run as carry_out

    with stdout_for_data(), _resumable(None):
        finished = carry_out(
            config,
            overrides or [],
            progress=progress_display(plain=plain),
            cluster=cluster,
            check=not no_check,
            reuse=source,
            arguments=sys.argv[1:],
        )
    _conclude(finished, as_json=as_json)


def _figures(assume: list[str] | None) -> dict[str, float]:
    """What was given as `FIGURE=VALUE`."""
    found = {}
    for given in assume or []:
        name, _, value = given.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            raise ConfigError(f"--assume {given}: write FIGURE=NUMBER, such as student.tokens_per_s=5000") from None
    return found


def resume(
    run_name: RunArgument = "latest",
    overrides: BudgetOption = None,
    store: StoreOption = None,
    cluster: ClusterOption = None,
    no_check: NoCheckOption = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Hold failed items again that no training has passed over: references and evaluations, also of a "
            "finished run.",
        ),
    ] = False,
    plain: PlainOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on with a run that was interrupted or failed; nothing that was done is done again.

    \b
    Examples:
      openmic resume
      openmic resume 01JD8Z
      openmic resume --set budget.usd=5
      openmic resume --retry-failed
    """
    found = open_run(run_name, store)
    with stdout_for_data(), _resumable(found):
        found.resume(
            overrides,
            progress=progress_display(plain=plain),
            cluster=cluster,
            check=not no_check,
            retry_failed=retry_failed,
        )
    _conclude(found, as_json=as_json)


@contextmanager
def _resumable(found: Run | None) -> Iterator[None]:
    """Whatever ends the run early, say how to go on with it."""
    try:
        yield
    except KeyboardInterrupt:
        if found is None:
            raise InterruptedRunError("interrupted before the run began; nothing was recorded") from None
        typer.echo(f"\nto go on: openmic resume {found.id}{store_flag(found.store)}", err=True)
        raise InterruptedRunError("interrupted before it went on; nothing was changed") from None
    except OpenmicError as error:
        resumable = found or error.run
        if resumable is not None and not isinstance(error, ConfigError):
            more = f" --set {error.key}=…" if isinstance(error, BudgetError) else ""
            typer.echo(f"\nto go on: openmic resume {resumable.id}{store_flag(resumable.store)}{more}", err=True)
        raise


def _conclude(finished: Run, *, as_json: bool) -> None:
    """The table, where everything is, and what to try next."""
    status = finished.report()
    if as_json:
        print_json(status)
    elif status["kind"] != "campaign":
        of = "" if status["source_run"] is None else f" of {status['source_run']}"
        typer.echo(f"run {finished.id} ({status['kind']}{of}) is finished")
        for line in (*failure_lines(status), *tracker_lines(status)):
            typer.echo(f"  {printable(line)}")
    else:
        print_report(status)
        print_next_steps(status, finished.store)
    exit_by_failures(status["failed"])
