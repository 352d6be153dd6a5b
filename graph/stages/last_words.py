"""What a run that cannot go on says last.

What failed comes first, with its reason; then what was set aside; and only then which keys would help. A key is named
only where something was lost that it decides: more dialogues help nobody whose endpoint is down.
"""

from typing import Any

from ...core.records import Stage, TurnKind
from ...core.training_settings import LEARNS_FROM_DRAFTS
from ...store import Dialogue, Run, Turn, failures, funnel, told_failures
from ...store.reading import Reader


def nothing_to_learn_from(store: Reader, run: Run, round_number: int | None = None) -> str:
    """Why a run's dialogues left nothing to train on, and what helps.

    Of one round, where the run can be resumed; else of all.
    """
    if run.config.get("training", {}).get("objective") in LEARNS_FROM_DRAFTS:
        return _no_drafts(store, run, round_number)
    found = funnel(store, run, round_number)
    failed = [failure for failure in failures(store, run, round_number) if failure["stage"] in {"collect", "rejudge"}]
    told, others = told_failures(failed)
    said = [f"{failure['count']} dialogues failed ({failure['error']})" for failure in told]
    said += [f"{others} more failed for other reasons"] if others else []
    said += _set_aside(found)
    keys = _keys(found)
    if failed and not found["dialogues"]["drafted"]:
        keys = []  # nothing but the failures stands in the way
    if failed and round_number is not None:
        keys = ["mend what they failed of, and resume: they are held again", *keys]
    elif not keys and not said:
        keys = ["hold more dialogues (dialogue.inputs)"]
    return "; ".join(("no preference is left to train on", *said, *keys))


def _no_drafts(store: Reader, run: Run, round_number: int | None) -> str:
    """The same for an objective that learns from drafts that the teacher has scored."""
    held = store.select(Dialogue, run_id=run.id, stage=Stage.COLLECT)
    dialogues = [row.id for row in held if round_number in {None, row.round}]
    drafts = store.select(Turn, dialogue_id=dialogues, kind=TurnKind.DRAFT)
    scored = store.select(Turn, dialogue_id=dialogues, kind=TurnKind.LOGPROBS)
    said = f"no draft is left to train on; of {len(drafts)} drafts, the teacher gave log-probabilities of {len(scored)}"
    if drafts and not scored:
        said += ": hold the dialogues with training.objective=opd, so that it is asked"
    if scored:
        versions = ", ".join(f"v{version}" for version in sorted({draft.adapter_version or 0 for draft in drafts}))
        said += f", and they are of {versions}: only drafts of the version that is trained are learned from, once each"
    failed = [one for one in failures(store, run, round_number) if one["stage"] == "collect"]
    told, others = told_failures(failed)
    parts = [f"{failure['count']} dialogues failed ({failure['error']})" for failure in told]
    parts += [f"{others} more failed for other reasons"] if others else []
    return "; ".join((said, *parts))


def _set_aside(found: dict[str, Any]) -> list[str]:
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


def _keys(found: dict[str, Any]) -> list[str]:
    """What would help against what was lost, each with its key."""
    drafts, dialogues = found["drafts"], found["dialogues"]
    compared, preferred = found["comparisons"].values(), found["preferences"].values()
    outside = dialogues["no_similar_length"] + sum(one["outside_length"] for one in preferred)
    help_by = {
        "look at the drafts and at the task's validity (openmic transcripts list), or let them be longer "
        "(student.sampling.max_tokens)": bool(drafts["rejected"]) and dialogues["no_valid_draft"],
        "sample more candidates (dialogue.candidates)": dialogues["one_valid_draft"],
        "sample them more freely (student.sampling.temperature)": drafts["duplicates"] and dialogues["one_valid_draft"],
        "widen preferences.length_ratio": outside,
        "take another critic (cast.critic)": sum(one["ties"] + one["inconsistent"] for one in compared),
        "raise training.max_staleness": sum(one["too_stale"] for one in preferred),
        "raise training.max_length": sum(one["too_long"] for one in preferred),
        "train on what is switched off (preferences)": sum(one["switched_off"] for one in preferred),
    }
    return [words for words, needed in help_by.items() if needed]
