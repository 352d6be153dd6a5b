"""The model card of a run's adapter: what it learned from, and how it did against the teacher."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.config import RunConfig
from ..core.errors import AdapterError
from ..core.records import AdapterRef, Split
from ..evaluation.shown import score_columns, shown_rate, shown_score, undecided
from ..store import Adapter, Run, RunExample, Store, Training
from ..training.adapters.adapters import replace_card
from ..training.adapters.card import ModelCard, write_card
from ..training.adapters.carried import carried_with
from ..training.student.published import published_base, without_place
from .report import run_status

NOTHING = "-"
"""What stands in a table where there is no figure."""
_SIMULATED = " Figures of the simulated cast: they show that the loop works, not how good anything is."


def model_card(store: Store, run: Run, config: RunConfig, ref: AdapterRef) -> ModelCard:
    """What is known of one version of a run's student.

    Args:
        store: Open.
        run: The run.
        config: Its configuration.
        ref: The version's adapter, with whose files its prompts are.

    Raises:
        AdapterError: the storage that it lies in cannot be read.
    """
    return _card(store, run, config, ref, run_status(store, run))


def _card(store: Store, run: Run, config: RunConfig, ref: AdapterRef, status: Mapping[str, Any]) -> ModelCard:
    carried = carried_with(ref)
    version = ref.version
    ours = next(one for one in status["versions"] if one["version"] == version)
    simulated = status["cast"] == "simulated" or any("simulated" in note for note in status["notes"])
    return ModelCard(
        title=f"{run.task} v{version}",
        base=published_base(config.student),
        kind=carried.kind,
        prompts=carried.prompts,
        rank=carried.rank,
        facts=_facts(store, run, version, status, ours),
        gain=_gain(status, version, simulated=simulated),
        results=_results(status),
        limits=[f"{note[0].upper()}{note[1:]}." for note in status["notes"]],
        tags=["simulated"] if simulated else [],
    )


def _facts(store: Store, run: Run, version: int, status: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, str]:
    campaign = store.campaign_of(run)
    splits = {split: store.count(RunExample, run_id=campaign.id, split=split) for split in Split}
    facts = {
        "task": run.task,
        "data": ", ".join(f"{count:,} {split} inputs" for split, count in splits.items()),
        "learned": "; then ".join(_learned(store, run, version)) or "nothing: it is the bare student",
        **{role: _names(names) for role, names in status["models"].items()},
        "made by": f"run {run.id}, {ours['stage']}, seed {run.seed}, begun {run.created_at:%Y-%m-%d}",
        "decided": ours["status"].replace("_", " ") + (f": {ours['reason']}" if ours["reason"] else ""),
    }
    if status["cast"] == "simulated":
        facts["teacher"] = facts["critic"] = facts["judge"] = "simulated cast"
    return facts


def _names(given: Any) -> str:
    return ", ".join(without_place(str(name)) for name in (given if isinstance(given, list) else [given]))


def _learned(store: Store, run: Run, version: int) -> list[str]:
    """Training by training, from the first to the version."""
    told: list[str] = []
    while version:
        rows = store.select(Adapter, run_id=run.id, version=version)
        training = store.get(Training, rows[0].training_id or "") if rows else None
        if training is None:
            break
        told.append(f"{training.examples:,} examples with {without_place(training.objective)}")
        version = training.parent_version
    return told[::-1]


def _gain(status: Mapping[str, Any], version: int, *, simulated: bool) -> str:
    gain = status["gain"]
    if gain is None or version not in {gain["from"], gain["to"]}:
        return ""
    low, high = gain["ci"]
    whose = _SIMULATED if simulated else ""
    return (
        f"**Gain in win-tie rate against the teacher, v{gain['from']} to v{gain['to']} on {gain['n']} held-out inputs: "
        f"{gain['value']:+.1%} ({status['confidence']:.0%} interval {low:+.1%} to {high:+.1%}).**{whose}"
    )


def _results(status: Mapping[str, Any]) -> Sequence[Mapping[str, str]]:
    judged = [one for one in status["versions"] if "n" in one]
    scorers = score_columns(judged)
    return [
        {
            "version": f"v{one['version']}",
            "stage": one["stage"],
            "inputs": str(one["n"]),
            **{name: str(one[name]) for name in ("win", "tie", "loss")},
            "win-tie rate": shown_rate(one),
            f"{status['confidence']:.0%} interval": NOTHING
            if undecided(one)
            else f"{one['ci'][0]:.1%} to {one['ci'][1]:.1%}",
            **{name: shown_score(one["scores"].get(name), share=share) for name, share in scorers.items()},
            "length": f"{one['length_ratio']:.2f}",
            "distinct-2": f"{one['distinct_2']:.2f}",
        }
        for one in judged
    ]


def write_cards(store: Store, run: Run, config: RunConfig, tell: Callable[[str], None]) -> None:
    """Bring the cards beside a run's own adapters up to date; `tell` is told of one that cannot be written."""
    own = {row.id for row in store.select(Training, run_id=run.id) if "taken_from" not in row.metrics}
    rows = [row for row in store.select(Adapter, run_id=run.id, order_by="version") if row.training_id in own]
    status = run_status(store, run) if rows else {}
    for row in rows:
        ref = AdapterRef(row.version, store.located(row.uri or ""), row.sha256)
        try:
            replace_card(ref, write_card(_card(store, run, config, ref, status), "adapter"))
        except (AdapterError, OSError) as error:
            tell(f"note: the model card of adapter v{row.version} was not written: {error}")
