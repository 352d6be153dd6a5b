"""What a run would do, and take: `openmic run --dry-run` and `--estimate`."""

from typing import Any

from rich.table import Table
from rich.text import Text

from ..core.config import RunConfig
from ..core.text import printable_in, spoken
from ..graph.context.seats import ROLES, Seat, cast_record, seat_model, seats
from ..graph.preflight.checks import Checked
from ..graph.preflight.estimate import budget_notes
from ..graph.preflight.work import Work, by_split, replies
from ..store import without_passwords
from ..store.cast_notes import cast_notes
from .report import report_console

_NAMES = 15
"""Columns of what stands before each line of a plan."""


def plan(config: RunConfig, checked: Checked) -> dict[str, Any]:
    """The inputs, models and calls of a run that has been checked.

    Of the inputs of each split `used` are those that a step takes, in a round where it takes some in each; `asked_for`
    has what a key asks for beyond those that there are. Calls are upper bounds for replies that can be read; one that
    cannot is asked for again, on top of them.
    """
    counts = {split.value: count for split, count in by_split(checked.examples).items()}
    limits = {
        "imitation.inputs": (config.imitation.inputs, counts["train"]),
        "dialogue.inputs": (config.dialogue.inputs, counts["train"]),
        "evaluation.dev_inputs": (config.evaluation.dev_inputs, counts["dev"]),
        "evaluation.test_inputs": (config.evaluation.test_inputs, counts["test"]),
        "inputs.limit": (config.inputs.limit, len(checked.examples)),
    }
    work, revisions = Work.of(config, by_split(checked.examples)), config.dialogue.max_revisions
    beside = config.evaluation.best_of - 1 + config.evaluation.critic
    return {
        "task": checked.task.name,
        "inputs": counts,
        "duplicate_inputs": checked.duplicates,
        "used": {
            "demonstrated": work.demonstrated,
            "in_dialogues": work.in_dialogues,
            "dev": work.dev,
            "test": work.test,
        },
        "asked_for": {key: asked for key, (asked, there) in limits.items() if asked is not None and asked > there},
        "cast": {role: _who(config, (role, 0)) for role in ROLES},
        "jury": [_who(config, ("critic", place)) for place in range(1, 1 + len(config.cast.jury))],
        "student": {
            "model": checked.student.name,
            "revision": checked.student.revision,
            "kind": checked.student.kind,
            "note": checked.student.note,
        },
        "notes": [*checked.notes, *cast_notes(cast_record(config.cast, simulated=checked.simulated))],
        "rounds": config.rounds,
        "objective": config.training.objective,
        "calls_at_most": {
            "teacher": _demonstrations(config, work.demonstrated + work.dialogues, work.dev + work.test),
            "critic": (work.compared + work.paired + work.evaluated * beside)
            * sum(replies(config, member) for member in (config.cast.critic, *config.cast.jury))
            + (work.criticised if config.cast.critic.asked else 0),
            "judge": work.evaluated * replies(config, config.cast.member("judge")),
        },
        "student_generations_at_most": work.dialogues * (config.dialogue.candidates + revisions)
        + work.evaluated * config.evaluation.best_of,
        "usd": {kind: checked.estimate[kind]["usd"] for kind in ("likely", "at_most")},
        "forecast": checked.forecast,
        "store": without_passwords(config.store_url),
        "home": str(config.home),
    }


def _who(config: RunConfig, seat: Seat) -> str:
    settings = seats(config.cast)[seat]
    return settings.model if settings.simulated else seat_model(seat, settings)


def _demonstrations(config: RunConfig, taught: int, references: int) -> int:
    """Requests to endpoints for demonstrations, and for held-out references."""
    teacher, writer = config.cast.teacher, config.cast.references or config.cast.teacher
    return (taught if teacher.asked else 0) + (references if writer.asked else 0)


def print_plan(planned: dict[str, Any]) -> None:
    """The plan for a person, on stdout."""
    planned = printable_in(planned)
    inputs, used, calls = planned["inputs"], planned["used"], planned["calls_at_most"]
    left_out = planned["duplicate_inputs"]
    duplicates = f"; {left_out} left out that stood there before" if left_out else ""
    asked_for = "".join(f"; {key} asks for {asked}" for key, asked in planned["asked_for"].items())
    report_console().print("Everything checks out; nothing was started. The run would do:")
    _print_lines(
        ("task", planned["task"]),
        ("inputs", ", ".join(f"{count:,} {split}" for split, count in inputs.items()) + duplicates),
        (
            "of these",
            f"{used['demonstrated']:,} train demonstrated, {used['in_dialogues']:,} train in dialogues of each round, "
            f"{used['dev']:,} dev and {used['test']:,} test to evaluate on{asked_for}",
        ),
        ("cast", ", ".join(f"{role}: {model}" for role, model in planned["cast"].items())),
        *([("jury", ", ".join(planned["jury"]))] if planned["jury"] else []),
        ("student", f"{planned['student']['model']} ({planned['student']['kind']})"),
        ("rounds", f"{planned['rounds']} of {planned['objective']}"),
        (
            "LLM calls",
            ", ".join(f"{role} at most {count:,}" for role, count in calls.items())
            + "; more where a reply has to be asked for again",
        ),
        ("generations", f"at most {planned['student_generations_at_most']:,} by the student"),
        ("dollars", _dollars(planned["usd"])),
        *_time_lines(planned["forecast"]),
        _figure_line(planned["forecast"]),
        ("store", planned["store"]),
    )
    for note in planned["notes"]:
        _print_line("note:", note, 6)


def _time_lines(foreseen: dict[str, Any]) -> list[tuple[str, str]]:
    """How long a run takes and what bounds it."""
    stages = (f"{stage['stage']} {spoken(stage['seconds'])}" for stage in foreseen["stages"])
    bound_s = sum(stage["seconds"] for stage in foreseen["stages"] if stage["bound"] == foreseen["bound"])
    return [
        ("time", f"likely {spoken(foreseen['seconds'])} or more: {', '.join(stages)}"),
        ("bound by", f"{foreseen['why']}, for {spoken(bound_s)} of it"),
    ]


def _figure_line(foreseen: dict[str, Any]) -> tuple[str, str]:
    """Which figures a time rests on, by who says so."""
    by_source: dict[str, list[str]] = {}
    for name, figure in foreseen["figures"].items():
        source = figure["source"].partition(":")[0].partition(",")[0]  # how, in how many requests
        by_source.setdefault(source, []).append(f"{name} {_short(figure['value'])}")
    return "reckoned", "; ".join(f"{source}: {', '.join(named)}" for source, named in by_source.items())


def _dollars(usd: dict[str, float | None]) -> str:
    known = {name.replace("_", " "): amount for name, amount in usd.items() if amount is not None}
    if not known:
        return "unknown: see openmic run --estimate"
    return ", ".join(f"{name} {amount:,.2f}" for name, amount in known.items())


def _print_lines(*lines: tuple[str, str]) -> None:
    for name, value in lines:
        _print_line(f"  {name}", value, _NAMES)


def _print_line(name: str, value: str, indent: int, *, style: str = "") -> None:
    """A name and what is said of it, wrapped beside it in a terminal; elsewhere a line stays one."""
    console = report_console(file_width=10_000)
    text = Text(value, style)
    lines = text.wrap(console, max(20, console.width - indent)) if console.is_terminal else [text]
    for place, line in enumerate(lines):
        line.rstrip()
        console.print(Text(f"{name if place == 0 else '':<{indent}}") + line)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _print_figures(figures: dict[str, Any]) -> None:
    """What was taken for what nobody knows before a run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("the time, with")
    table.add_column("", justify="right")
    table.add_column("")
    for name, figure in figures.items():
        table.add_row(name, _short(figure["value"]), Text(figure["source"]))
    report_console(soft_wrap=False).print(table)


def print_estimate(estimated: dict[str, Any], config: RunConfig) -> None:
    """What a run would take, for a person, on stdout; `estimated` has its `forecast`, too."""
    console = report_console()
    as_if = f", with {sum(estimated['inputs'].values()):,} inputs like those," if estimated["as_if"] else ""
    console.print(f"Nobody was asked, and nothing was started. The run would take{as_if}:")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for heading in ("", "requests", "tokens in", "out", "dollars"):
        table.add_column(heading, justify="right" if heading else "left")
    for kind, name in (("likely", "likely"), ("at_most", "at most")):
        rows = {**estimated[kind]["roles"], "in all": estimated[kind]}
        first = next(iter(rows))
        for role, taken in rows.items():
            numbers = (f"{taken[part]:,}" for part in ("calls", "input_tokens", "output_tokens"))
            dollars = "unknown" if taken["usd"] is None else f"{taken['usd']:,.2f}"
            table.add_row(name if role == first else "", role, *numbers, dollars)
    console.print(table)
    foreseen = estimated["forecast"]
    _print_lines(*_time_lines(foreseen))
    _print_figures(foreseen["figures"])
    for line in (*(f"prices: {source}" for source in estimated["prices"]), *estimated["assumes"], *foreseen["assumes"]):
        _print_line("", line, 0, style="dim")
    for model, why in estimated["unpriced"].items():
        _print_line("", f"what {model} charges is not known: {why}; set its price (cast.….price)", 0)
    for note in budget_notes(config, estimated, foreseen):
        _print_line("note:", note, 6)
