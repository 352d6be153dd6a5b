"""What a run that cannot go on says last.

What failed comes first, with its reason; then what was set aside; and only then which keys would help. A key is named
only where something was lost that it decides: more dialogues help nobody whose endpoint is down.
"""

from ...core.config import saved_section
from ...core.dialogue_settings import PreferenceSettings
from ...core.records import Stage, TurnKind
from ...core.training_settings import LEARNS_FROM_DRAFTS
from ...store import Dialogue, Run, Turn, failures, funnel, told_failures
from ...store.reading import Reader
from ..context.losses import helpful_keys, set_aside


def nothing_to_learn_from(store: Reader, run: Run, round_number: int | None = None) -> str:
    """Why a run's dialogues left nothing to train on, and what helps.

    Of one round, where the run can be resumed; else of all.
    """
    if run.config.get("training", {}).get("objective") in LEARNS_FROM_DRAFTS:
        return _no_drafts(store, run, round_number)
    found = funnel(store, run, round_number)
    # A training reads another run's rows, and what that run itself learned from stands in nobody's way here.
    for name in saved_section(run, "preferences", PreferenceSettings).switched_off & found["preferences"].keys():
        one = found["preferences"][name]
        one["switched_off"] = one["made"] - one["outside_length"] - one["too_stale"]
    failed = [failure for failure in failures(store, run, round_number) if failure["stage"] in {"collect", "rejudge"}]
    told, others = told_failures(failed)
    said = [f"{failure['count']} dialogues failed ({failure['error']})" for failure in told]
    said += [f"{others} more failed for other reasons"] if others else []
    said += set_aside(found)
    keys = [words for _, words in helpful_keys(found)]
    if failed and not found["dialogues"]["drafted"]:
        keys = []  # nothing but the failures stands in the way
    if failed and round_number is not None:
        keys = ["mend what they failed of, and resume: they are held again", *keys]
    elif not keys and not said:
        keys = ["hold more dialogues (dialogue.inputs)"]
    if keys and not failed and round_number is not None:
        keys.append(
            "a run keeps its settings, so begin another, which takes over what is unchanged (openmic run CONFIG --set "
            f"KEY=VALUE --from {run.id})"
        )
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
