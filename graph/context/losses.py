"""What was lost between drafts and what is trained on, and which keys decide it."""

from collections.abc import Mapping
from typing import Any

from ...core.training_settings import LEARNS_FROM_DRAFTS
from ...store import Run

_FEW = 1 / 3
"""Preferences trained on for each dialogue with drafts, below which a run is said to have had little to learn from."""
_KEYS_TOLD = 2


def little_to_learn_from(found: Mapping[str, Any], run: Run) -> str | None:
    """A line where a campaign's rounds have learned from few preferences, with the keys that would help most.

    Args:
        found: The run's funnel, as `store.funnel` gives it.
        run: Finished.

    Returns:
        None where there was enough, or the objective learns from no preferences.
    """
    objective = str(run.config.get("training", {}).get("objective"))
    learned = sum(one["trained_on"] for one in found["preferences"].values())
    drafted = found["dialogues"]["drafted"]
    if run.kind != "campaign" or run.status != "finished" or not drafted or objective in {"sft", *LEARNS_FROM_DRAFTS}:
        return None
    if learned >= _FEW * drafted or (":" in objective and not learned):
        return None
    keys = [words for _, words in sorted(helpful_keys(found), key=lambda key: -key[0])][:_KEYS_TOLD]
    told = f": {'; or '.join(keys)}" if keys else ": hold more dialogues (dialogue.inputs)"
    return f"feedback had little to learn from: {learned} preferences of {drafted} dialogues were trained on{told}"


def set_aside(found: Mapping[str, Any]) -> list[str]:
    """What the gates and filters took out, in the order in which they did."""
    drafts, dialogues, revisions = found["drafts"], found["dialogues"], found["revisions"]
    compared, preferred = found["comparisons"].values(), found["preferences"].values()
    parts = [
        (f"of {drafts['made']} drafts", {**drafts["rejected"], "duplicate": drafts["duplicates"]}),
        (
            f"of {dialogues['drafted']} dialogues",
            {
                "with no valid draft": dialogues["no_valid_draft"],
                "with one valid draft": dialogues["one_valid_draft"],
                "with no two of similar length": dialogues["no_similar_length"],
            },
        ),
        (f"of {revisions['made']} revisions", {**revisions["rejected"], "unchanged": revisions["unchanged"]}),
        (
            f"of {sum(one['made'] for one in compared)} comparisons",
            {
                "tied": sum(one["ties"] for one in compared),
                "decided by the place": sum(one["inconsistent"] for one in compared),
            },
        ),
        (
            f"of {sum(one['made'] for one in preferred)} preferences",
            {
                "outside the length filter": sum(one["outside_length"] for one in preferred),
                "too stale": sum(one["too_stale"] for one in preferred),
                "too long to train on": sum(one["too_long"] for one in preferred),
                "switched off": sum(one["switched_off"] for one in preferred),
            },
        ),
    ]
    lost = ((whole, [f"{number} {why}" for why, number in reasons.items() if number]) for whole, reasons in parts)
    return [f"{whole}, {', '.join(reasons)}" for whole, reasons in lost if reasons]


def helpful_keys(found: Mapping[str, Any]) -> list[tuple[int, str]]:
    """What would help against what was lost, each with its key, and about how many preferences were lost to it."""
    drafts, dialogues = found["drafts"], found["dialogues"]
    compared, preferred = found["comparisons"].values(), found["preferences"].values()
    cut_off = next(iter(drafts["rejected"]), None) == "cut off"  # the gate that rejected most comes first
    longer = "let drafts be longer (student.sampling.max_tokens)"
    gates = "look at the drafts and at the task's validity (openmic transcripts list)"
    help_by = {
        f"{longer}, or {gates}" if cut_off else f"{gates}, or {longer}": (
            dialogues["no_valid_draft"] if drafts["rejected"] else 0
        ),
        "sample more candidates (dialogue.candidates)": dialogues["one_valid_draft"],
        "sample them more freely (student.sampling.temperature)": (
            min(drafts["duplicates"], dialogues["one_valid_draft"])
        ),
        "widen preferences.length_ratio": (
            dialogues["no_similar_length"] + sum(one["outside_length"] for one in preferred)
        ),
        "take another critic (cast.critic)": sum(one["ties"] + one["inconsistent"] for one in compared),
        "raise training.max_staleness": sum(one["too_stale"] for one in preferred),
        "raise training.max_length": sum(one["too_long"] for one in preferred),
        "train on what is switched off (preferences)": sum(one["switched_off"] for one in preferred),
    }
    return [(number, words) for words, number in help_by.items() if number]
