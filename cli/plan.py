"""What a run would do, and take: `openmic run --dry-run` and `--estimate`."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..core.config import RunConfig
from ..core.records import Split
from ..core.text import printable_in
from ..graph.context.seats import ROLES, Seat, cast_record, seat_model, seats
from ..graph.preflight.checks import Checked
from ..graph.preflight.estimate import budget_notes
from ..graph.preflight.work import Work, replies
from ..store import without_passwords
from ..store.cast_notes import cast_notes
from .report import report_console


def plan(config: RunConfig, checked: Checked) -> dict[str, Any]:
    """The inputs, models and calls of a run that has been checked.

    Of the inputs of each split `used` are those that a step takes, in a round where it takes some in each; `asked_for`
    has what a key asks for beyond those that there are. Calls are upper bounds for replies that can be read; one that
    cannot is asked for again, on top of them.
    """
    counts = {split.value: sum(example.split is split for example in checked.examples) for split in Split}
    limits = {
        "imitation.inputs": (config.imitation.inputs, counts["train"]),
        "dialogue.inputs": (config.dialogue.inputs, counts["train"]),
        "evaluation.dev_inputs": (config.evaluation.dev_inputs, counts["dev"]),
        "evaluation.test_inputs": (config.evaluation.test_inputs, counts["test"]),
        "inputs.limit": (config.inputs.limit, len(checked.examples)),
    }
    work, revisions = Work.of(config, checked.examples), config.dialogue.max_revisions
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
        "student": {"model": checked.student.name, "kind": checked.student.kind, "note": checked.student.note},
        "notes": [*checked.notes, *cast_notes(cast_record(config.cast, simulated=checked.simulated))],
        "rounds": config.rounds,
        "objective": config.training.objective,
        "calls_at_most": {
            "teacher": _demonstrations(config, work.demonstrated + work.dialogues, work.dev + work.test),
            "critic": work.compared * sum(replies(config, member) for member in (config.cast.critic, *config.cast.jury))
            + (work.criticised if config.cast.critic.asked else 0),
            "judge": work.evaluated * replies(config, config.cast.member("judge")),
        },
        "student_generations_at_most": work.dialogues * (config.dialogue.candidates + revisions) + work.evaluated,
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
    console, planned = Console(soft_wrap=True, highlight=False, markup=False), printable_in(planned)
    inputs, used, calls = planned["inputs"], planned["used"], planned["calls_at_most"]
    left_out = planned["duplicate_inputs"]
    duplicates = f"; {left_out} left out that stood there before" if left_out else ""
    asked_for = "".join(f"; {key} asks for {asked}" for key, asked in planned["asked_for"].items())
    console.print("Everything checks out; nothing was started. The run would do:")
    for name, value in (
        ("task", planned["task"]),
        ("inputs", ", ".join(f"{count} {split}" for split, count in inputs.items()) + duplicates),
        (
            "of these",
            f"{used['demonstrated']} train demonstrated, {used['in_dialogues']} train in dialogues of each round, "
            f"{used['dev']} dev and {used['test']} test to evaluate on{asked_for}",
        ),
        ("cast", ", ".join(f"{role}: {model}" for role, model in planned["cast"].items())),
        *([("jury", ", ".join(planned["jury"]))] if planned["jury"] else []),
        ("student", f"{planned['student']['model']} ({planned['student']['kind']})"),
        ("rounds", f"{planned['rounds']} of {planned['objective']}"),
        (
            "LLM calls",
            ", ".join(f"{role} at most {count}" for role, count in calls.items())
            + "; more where a reply has to be asked for again",
        ),
        ("generations", f"at most {planned['student_generations_at_most']} by the student"),
        ("store", planned["store"]),
    ):
        console.print(f"  {name:<12} {value}")
    for note in planned["notes"]:
        console.print(f"note: {note}")


def print_estimate(estimated: dict[str, Any], config: RunConfig) -> None:
    """What a run would take, for a person, on stdout."""
    console = report_console()
    console.print("Nobody was asked, and nothing was started. The run would take:")
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
    for line in (*(f"prices: {source}" for source in estimated["prices"]), *estimated["assumes"]):
        console.print(f"[dim]{escape(line)}[/]")
    for model, why in estimated["unpriced"].items():
        console.print(escape(f"what {model} charges is not known: {why}; set its price (cast.….price)"))
    for note in budget_notes(config, estimated):
        console.print(escape(f"note: {note}"))
