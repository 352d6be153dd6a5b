"""What a run would do: `openmic run --dry-run`."""

from typing import Any

from rich.console import Console

from ..core.config import EndpointSettings, RunConfig
from ..core.records import Split
from ..graph.context.seats import ROLES, Seat, cast_record, seat_model, seats
from ..graph.preflight.checks import Checked
from ..store import without_passwords
from ..store.cast_notes import cast_notes


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
    }
    demonstrated, in_dialogues, dev_used, test_used = (min(asked or there, there) for asked, there in limits.values())
    limits["inputs.limit"] = config.inputs.limit, len(checked.examples)
    in_dialogues = in_dialogues if config.rounds else 0
    dialogues = in_dialogues * config.rounds
    candidates = _candidate_adapters(config, dialogues)
    evaluated = test_used * (2 + candidates) + dev_used * (1 + candidates if candidates else 0)
    revisions = config.dialogue.max_revisions
    compared = dialogues * _comparisons_per_dialogue(config) + _teacher_pairs(config, demonstrated)
    return {
        "task": checked.task.name,
        "inputs": counts,
        "duplicate_inputs": checked.duplicates,
        "used": {"demonstrated": demonstrated, "in_dialogues": in_dialogues, "dev": dev_used, "test": test_used},
        "asked_for": {key: asked for key, (asked, there) in limits.items() if asked is not None and asked > there},
        "cast": {role: _who(config, (role, 0)) for role in ROLES},
        "jury": [_who(config, ("critic", place)) for place in range(1, 1 + len(config.cast.jury))],
        "student": {"model": checked.student.name, "kind": checked.student.kind, "note": checked.student.note},
        "notes": [*checked.notes, *cast_notes(cast_record(config.cast, simulated=checked.simulated))],
        "rounds": config.rounds,
        "objective": config.training.objective,
        "calls_at_most": {
            "teacher": _demonstrations(config, demonstrated + dialogues, dev_used + test_used),
            "critic": compared * sum(_replies(config, member) for member in (config.cast.critic, *config.cast.jury))
            + (dialogues * revisions if config.cast.critic.asked else 0),
            "judge": evaluated * _replies(config, config.cast.member("judge")),
        },
        "student_generations_at_most": dialogues * (config.dialogue.candidates + revisions) + evaluated,
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


def _comparisons_per_dialogue(config: RunConfig) -> int:
    """Of drafts, and of each revision with what was revised."""
    drafts, entrants = 1, config.dialogue.candidates
    if config.dialogue.selection == "tournament" and entrants > 2:
        paired, halves = entrants // 2, (entrants + 1) // 2
        drafts = paired + 2 * (halves - 1) + 1  # a first round, a knock-out each among winners and losers, a final
    return drafts + config.dialogue.max_revisions


def _teacher_pairs(config: RunConfig, demonstrated: int) -> int:
    """Comparisons of the teacher's own outputs: one for each input that has several."""
    from ..graph.training_data.assemble import wants_teacher_pairs

    return demonstrated if config.imitation.demonstrations > 1 and wants_teacher_pairs(config) else 0


def _replies(config: RunConfig, member: EndpointSettings) -> int:
    """Replies of one model that a comparison takes: both orders, or both texts, and samples where no odds are given."""
    if not member.asked:
        return 0
    gives_odds = member.simulated and not config.cast.simulated.no_logprobs
    return 2 if gives_odds or config.verdict.style == "cloze" else 2 * config.verdict.samples


def _candidate_adapters(config: RunConfig, dialogues: int) -> int:
    """Adapters trained on feedback: one at the end of each round, and one for every so many preferences before."""
    if config.training.train_every is None:
        return config.rounds
    made = dialogues * (_comparisons_per_dialogue(config) + config.preferences.teacher_over_student)
    return config.rounds + made // config.training.train_every


def print_plan(planned: dict[str, Any]) -> None:
    """The plan for a person, on stdout."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
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
