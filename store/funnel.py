"""What came of what was said: how many drafts, comparisons and revisions it took to get the preferences there are.

However long the run is, no rows are loaded but those of its trainings: what was said was counted as each dialogue
finished (`tally`), and the rest is counted in the database, in a handful of grouped queries.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, func, or_, select
from sqlmodel import col

from ..core.config import saved_section
from ..core.dialogue_settings import PreferenceSettings
from ..core.records import GIVEN, Stage, TurnKind
from ..core.training_settings import STALENESS_TOLERANT, staleness_limit
from .reading import Reader, chunks
from .tables.training import Adapter, Training, TrainingItem, left_out_items
from .tables.transcript import Dialogue, Preference, Run, VerdictRow
from .tally import (
    ACCEPTED,
    COMPARED,
    DEMONSTRATION,
    DRAFT,
    REVISION,
    TURN,
    UNCHANGED,
    VALID,
    Tallied,
    by_name,
    summed,
    tallies,
)
from .trainable import of_similar_length, staleness, untrained


def funnel(
    store: Reader, run: Run, round_number: int | None = None, *, every: Sequence[Tallied] | None = None
) -> dict[str, Any]:
    """The yield of every gate and filter of a run's dialogues, or of those of one round.

    Args:
        store: Where the run is.
        run: Which.
        round_number: None for all rounds.
        every: Its dialogues in numbers, where they are there already.

    Returns:
        Counts, fit for JSON. `demonstrations`, the teacher's texts, references and those of dialogues among them:
        `made`, `rejected` by each reason, and `valid`, what is left. `drafts`: `made`, `rejected` by each gate,
        `duplicates` within one dialogue, and `valid`. `dialogues`: `drafted` (finished, with drafts), and those of
        them without two texts to compare: `no_valid_draft`, `one_valid_draft`, `no_similar_length`. `revisions`:
        `made`, `rejected` by each gate, `unchanged`, and `accepted`, preferred to another text. `comparisons` by what
        was compared: `made`, `ties` (nearly even odds) and `inconsistent` (the orders prefer different texts).
        `preferences` by source: `made`, `outside_length` (of the run's length filter), `too_stale` (left out because of
        `training.max_staleness`), `too_long` (left out because of `training.max_length`), `switched_off` (of a source
        that `preferences` keeps from training) and `trained_on`, which counts what this run has trained on, even where
        another run made it.
    """
    every = tallies(store, run.id) if every is None else every
    of_round = [one for one in every if round_number in {None, one.round}]
    collected = [one for one in of_round if one.stage is Stage.COLLECT and one.stop_reason != GIVEN]
    counts = summed(collected)
    shown = summed(of_round) if round_number is None else counts
    return {
        "demonstrations": _sifted(shown, DEMONSTRATION) | {"valid": shown[DEMONSTRATION]},
        "drafts": _sifted(counts, DRAFT) | {"duplicates": counts[DRAFT] - counts[VALID], "valid": counts[VALID]},
        "dialogues": _dialogues(collected),
        "revisions": _sifted(counts, REVISION) | {"unchanged": counts[UNCHANGED], "accepted": counts[ACCEPTED]},
        "comparisons": _comparisons(store, run, round_number),
        "preferences": _preferences(store, run, round_number),
    }


def verdict_facts(store: Reader, run: Run) -> dict[str, Any]:
    """How the critic judged in this run, and how often it and the judge did not answer the question.

    Returns:
        `count`, and where that is not 0: `position_bias`, the shares of verdicts that went to the text shown `first`,
        or to the one shown `second`, in both orders; `consistency`, the share of all others; and `margin`, the mean
        of |p - 1/2| * 2. Always `unanswered`, for `critic` and `judge` where they judged: the share of their
        comparisons in which a reply named no label, or both labels had too little of the probability
        (`verdict.min_label_mass`).
    """
    first, second = _for_one_place()
    agent = col(VerdictRow.agent)
    margin = func.coalesce(func.sum(func.abs(col(VerdictRow.p_first) - 0.5) * 2), 0.0)
    statement = (
        select(agent, func.count(), _count(col(VerdictRow.answered).is_(False)), _count(first), _count(second), margin)
        .where(col(VerdictRow.run_id) == run.id)
        .group_by(agent)
        .order_by(agent)
    )
    found = {name: facts for name, *facts in store.rows(statement)}
    unanswered = {name: number / all_ for name, (all_, number, *_) in found.items()}
    count, _, to_first, to_second, margins = found.get("critic", (0, 0, 0, 0, 0.0))
    if not count:
        return {"count": 0, "unanswered": unanswered}
    return {
        "count": count,
        "unanswered": unanswered,
        "consistency": 1 - (to_first + to_second) / count,
        "position_bias": {"first": to_first / count, "second": to_second / count},
        "margin": margins / count,
    }


def _sifted(counts: Counter[str], of: str) -> dict[str, Any]:
    """How many texts were made, and how many each gate rejected, the one that rejected most first."""
    rejected = by_name(counts, f"{of}/")
    told = dict(sorted(rejected.items(), key=lambda gate: -gate[1]))
    return {"made": counts[of] + sum(rejected.values()), "rejected": told}


def _dialogues(collected: Sequence[Tallied]) -> dict[str, int]:
    found = {"drafted": 0, "no_valid_draft": 0, "one_valid_draft": 0, "no_similar_length": 0}
    for one in collected:
        if one.status != "finished" or not one.counts.get(f"{TURN}{TurnKind.DRAFT}"):
            continue
        found["drafted"] += one.number
        valid = one.counts.get(VALID, 0)
        if valid < 2:
            found["one_valid_draft" if valid else "no_valid_draft"] += one.number
        elif not one.counts.get(COMPARED):
            found["no_similar_length"] += one.number
    return found


def _comparisons(store: Reader, run: Run, round_number: int | None) -> dict[str, dict[str, int]]:
    source = col(VerdictRow.source)
    inconsistent = or_(*_for_one_place())
    statement = (
        select(
            source, func.count(), _count(and_(~inconsistent, col(VerdictRow.outcome) == "tie")), _count(inconsistent)
        )
        .where(col(VerdictRow.run_id) == run.id, source.is_not(None))
        .group_by(source)
        .order_by(source)
    )
    if round_number is not None:
        statement = statement.join(Dialogue, col(VerdictRow.dialogue_id) == col(Dialogue.id))
        statement = statement.where(col(Dialogue.round) == round_number)
    return {
        str(name): {"made": made, "ties": ties, "inconsistent": turned}
        for name, made, ties, turned in store.rows(statement)
    }


def _preferences(store: Reader, run: Run, round_number: int | None) -> dict[str, dict[str, int]]:
    training = run.config.get("training", {})
    own = run.plugs.get("training.objective", {})
    tolerant = own.get("staleness_tolerant", training.get("objective") in STALENESS_TOLERANT)
    max_staleness = staleness_limit(training.get("max_staleness"), tolerant=tolerant)
    settings = saved_section(run, "preferences", PreferenceSettings)
    outside = ~of_similar_length(settings.length_ratio)
    source = col(Preference.source)
    of_round = [] if round_number is None else [col(Preference.round) == round_number]
    made = select(source, func.count(), _count(outside)).where(col(Preference.run_id) == run.id, *of_round)
    trained_on = (
        select(source, func.count())
        .join(TrainingItem, col(TrainingItem.preference_id) == col(Preference.id))
        .where(col(TrainingItem.run_id) == run.id, *of_round)
        .group_by(source)
    )
    found: dict[str, dict[str, int]] = {}
    nothing = {"made": 0, "outside_length": 0, "too_stale": 0, "too_long": 0, "switched_off": 0, "trained_on": 0}
    for name, number, too_long in store.rows(made.group_by(source)):
        found[name] = {**nothing, "made": number, "outside_length": too_long}
    promoted = store.count(Adapter, run_id=run.id, status="promoted")  # the first of them is never ahead of a writer
    if max_staleness is not None and promoted - 1 > max_staleness:
        stale = select(source, func.count()).where(
            col(Preference.run_id) == run.id,
            untrained(run.id),
            staleness(run.id) > max_staleness,
            ~outside,
            *of_round,
        )
        for name, number in store.rows(stale.group_by(source)):
            found[name]["too_stale"] = number
    beyond = _too_long(store, run, round_number)
    for name, number in store.rows(trained_on):
        found.setdefault(name, {**nothing}).update(too_long=beyond[name], trained_on=number - beyond[name])
    for name in settings.switched_off & found.keys():
        if not found[name]["trained_on"]:  # else the objective learns from it whatever is switched
            found[name]["switched_off"] = found[name]["made"] - found[name]["outside_length"] - found[name]["too_stale"]
    return dict(sorted(found.items()))


def _too_long(store: Reader, run: Run, round_number: int | None) -> Counter[str]:
    """Preferences that this run's trainings consumed and did not learn from, by source."""
    left_out = [name for training in store.select(Training, run_id=run.id) for name in left_out_items(training)]
    counted = select(col(Preference.source), func.count()).join(
        TrainingItem, col(TrainingItem.preference_id) == col(Preference.id)
    )
    if round_number is not None:
        counted = counted.where(col(Preference.round) == round_number)
    found: Counter[str] = Counter()
    for ids in chunks(left_out):
        statement = counted.where(col(TrainingItem.id).in_(ids)).group_by(col(Preference.source))
        found.update(dict(store.rows(statement)))
    return found


def _for_one_place() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Verdicts for the text shown first in both orders, and for the one shown second; even odds are neither."""
    forward, reverse = col(VerdictRow.p_forward), col(VerdictRow.p_reverse)
    disagree = col(VerdictRow.consistent).is_(False)
    return and_(disagree, forward > 0.5, reverse < 0.5), and_(disagree, forward < 0.5, reverse > 0.5)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return _total(case((condition, 1), else_=0))


def _total(number: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL sums integers up to one of any length, which is no int in Python.
    return cast(func.coalesce(func.sum(number), 0), BigInteger)
