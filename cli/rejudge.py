"""`openmic rejudge`: stored comparisons before another critic."""

import sys
from typing import Any

import typer

from ..core.config import saved_config, store_address
from ..core.text import printable
from ..store import Run, Store
from .options import (
    JsonOption,
    NoCheckOption,
    OverridesOption,
    RunArgument,
    StoreOption,
    exit_by_failures,
    print_json,
    store_flag,
)
from .progress import progress_display, stdout_for_data
from .report import failure_lines


def rejudge(
    run: RunArgument = "latest",
    overrides: OverridesOption = None,
    store: StoreOption = None,
    no_check: NoCheckOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have another critic judge a run's stored comparisons again; the old verdicts stay.

    The new verdicts and the preferences they make belong to a run of their own, which `openmic train` takes too.

    \b
    Examples:
      openmic rejudge latest --set cast.critic.model=gpt-4.1
      openmic rejudge 01JD8Z --set verdict.style=reason
      openmic rejudge latest --set cast.simulated.flip_rate=0.25 --json
    """
    from ..graph.runs.rejudge import start_rejudging

    url = store_address(store)
    with Store.open_readonly(url) as reader:
        source = reader.resolve_run(run)
    with Store.open(url) as opened:
        with stdout_for_data():
            finished = start_rejudging(
                opened,
                source,
                overrides=overrides or [],
                arguments=sys.argv[1:],
                progress=progress_display(),
                ask=not no_check,
            )
        found = comparison(opened, finished)
    if as_json:
        print_json(found)
    else:
        print_comparison(found, store_flag(url))
    exit_by_failures(found["failed"])


def comparison(store: Store, run: Run) -> dict[str, Any]:
    """What a rejudging found: the agreement of old and new verdicts, and the preferences either makes."""
    from ..evaluation.agreement import agreement
    from ..graph.runs.rejudge import verdict_pairs
    from ..store import Preference, failures
    from ..store.overview import stage_counts

    pairs = verdict_pairs(store, run)
    config = saved_config(run)
    source = store.get(Run, run.source_run_id)
    assert source is not None
    failed = failures(store, run)
    measured = agreement([(old.outcome, new.outcome) for old, new in pairs], config.evaluation, config.seed)
    return {
        "run": run.id,
        "source_run": source.id,
        "failed": sum(failure["count"] for failure in failed),
        "failures": failed,
        "stages": stage_counts(store, run),
        "critic": {"old": source.cast["critic"], "new": run.cast["critic"]},
        "confidence": config.evaluation.confidence,
        **measured.as_json(),
        "consistency": {
            "old": sum(old.consistent for old, _ in pairs) / len(pairs),
            "new": sum(new.consistent for _, new in pairs) / len(pairs),
        },
        "preferences": {
            "old": store.count(Preference, run_id=source.id),
            "new": store.count(Preference, run_id=run.id),
        },
    }


def print_comparison(found: dict[str, Any], flag: str) -> None:
    """The comparison for a person."""
    old, new = found["critic"]["old"], found["critic"]["new"]
    low, high = found["ci"]
    kappa = "undefined" if found["kappa"] is None else f"{found['kappa']:.2f}"
    decided = "-" if found["decided_agreement"] is None else f"{found['decided_agreement']:.1%}"
    typer.echo(f"run {found['run']}: {found['n']} comparisons of run {found['source_run']} judged again")
    for line in failure_lines(found):
        typer.echo(f"  {line}")
    for label, value in (
        ("critics", f"{old} (old), {new} (new)"),
        ("agreement", f"{found['agreement']:.1%} ({found['confidence']:.0%} interval {low:.1%} to {high:.1%})"),
        ("kappa", kappa),
        ("same winner", f"{decided} of {found['decided']} that both decided"),
        ("both orders agree", f"{found['consistency']['old']:.1%} (old), {found['consistency']['new']:.1%} (new)"),
        ("preferences", f"{found['preferences']['old']} (old), {found['preferences']['new']} (new)"),
    ):
        typer.echo(printable(f"  {label:<18} {value}"))
    typer.echo(f"\ntry next:\n  openmic train {found['run']}{flag}      learns from the new verdicts")
    typer.echo(f"  openmic train {found['source_run']}{flag}      learns from the old ones")
