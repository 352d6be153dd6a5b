"""What a run would do: `openmic run --dry-run`."""

from typing import Any

from rich.console import Console

from ..core.config import RunConfig
from ..core.records import Split
from ..graph.preflight import ROLES, Checked


def plan(config: RunConfig, checked: Checked) -> dict[str, Any]:
    """The inputs, models and calls of a run that has been checked. Calls are upper bounds."""
    counts = {split.value: sum(example.split is split for example in checked.examples) for split in Split}
    train, dev, test = counts["train"], counts["dev"], counts["test"]
    demonstrated = min(config.imitation.inputs or train, train)
    dev_used = min(config.evaluation.dev_inputs or dev, dev)
    test_used = min(config.evaluation.test_inputs or test, test)
    dialogues = min(config.dialogue.inputs or train, train) * config.rounds
    versions = 2 + config.rounds
    revisions = config.dialogue.max_revisions
    return {
        "task": checked.task.name,
        "inputs": counts,
        "cast": {role: config.cast.endpoint(role).model for role in ROLES},
        "student": {"model": checked.student.name, "kind": checked.student.kind, "note": checked.student.note},
        "rounds": config.rounds,
        "objective": config.training.objective,
        "calls_at_most": {
            "teacher": demonstrated + dev_used + test_used + dialogues,
            "critic": dialogues * (2 + 3 * revisions),
            "judge": 2 * (test_used * versions + dev_used * (1 + config.rounds if config.rounds else 0)),
        },
        "student_generations_at_most": dialogues * (config.dialogue.candidates + revisions)
        + test_used * versions
        + dev_used * (1 + config.rounds if config.rounds else 0),
        "store": config.store_url,
        "home": str(config.home),
    }


def print_plan(planned: dict[str, Any]) -> None:
    """The plan for a person, on stdout."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    inputs, calls = planned["inputs"], planned["calls_at_most"]
    console.print("Everything checks out; nothing was started. The run would do:")
    for name, value in (
        ("task", planned["task"]),
        ("inputs", ", ".join(f"{count} {split}" for split, count in inputs.items())),
        ("cast", ", ".join(f"{role}: {model}" for role, model in planned["cast"].items())),
        ("student", f"{planned['student']['model']} ({planned['student']['kind']})"),
        ("rounds", f"{planned['rounds']} of {planned['objective']}"),
        ("LLM calls", ", ".join(f"{role} at most {count}" for role, count in calls.items())),
        ("generations", f"at most {planned['student_generations_at_most']} by the student"),
        ("store", planned["store"]),
    ):
        console.print(f"  {name:<12} {value}")
