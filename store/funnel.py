"""What came of what was said: how many drafts, comparisons and revisions it took to get the preferences there are.

Everything is counted in the database, in a handful of grouped queries; however long the run is, no rows are loaded but
those of its trainings.
"""

from collections import Counter
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, case, cast, distinct, func, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from ..core.dialogue_settings import PreferenceSettings
from ..core.records import Agent, Stage, TurnKind
from ..core.training_settings import STALENESS_TOLERANT, staleness_limit
from .reading import Reader, chunks
from .tables.training import Training, TrainingItem, left_out_items
from .tables.transcript import Dialogue, Preference, Run, Turn, VerdictRow
from .trainable import of_similar_length, staleness, untrained


def funnel(store: Reader, run: Run, round_number: int | None = None) -> dict[str, Any]:
    """The yield of every gate and filter of a run's dialogues, or of those of one round.

    Args:
        store: Where the run is.
        run: Which.
        round_number: None for all rounds.

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
    gates = _gates(store, run, round_number)
    drafts, dialogues = _drafts(store, run, round_number, gates[TurnKind.DRAFT])
    return {
        "demonstrations": _demonstrations(store, run, round_number),
        "drafts": drafts,
        "dialogues": dialogues,
        "revisions": _revisions(store, run, round_number, gates[TurnKind.REVISION]),
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
    statement = select(
        func.count(),
        _count(first),
        _count(second),
        func.coalesce(func.sum(func.abs(col(VerdictRow.p_first) - 0.5) * 2), 0.0),
    ).where(col(VerdictRow.run_id) == run.id, col(VerdictRow.agent) == "critic")
    [(count, to_first, to_second, margin)] = store.rows(statement)
    asked = (
        select(col(VerdictRow.agent), func.count(), _count(col(VerdictRow.answered).is_(False)))
        .where(col(VerdictRow.run_id) == run.id)
        .group_by(col(VerdictRow.agent))
        .order_by(col(VerdictRow.agent))
    )
    unanswered = {agent: number / all_ for agent, all_, number in store.rows(asked)}
    if not count:
        return {"count": 0, "unanswered": unanswered}
    return {
        "count": count,
        "unanswered": unanswered,
        "consistency": 1 - (to_first + to_second) / count,
        "position_bias": {"first": to_first / count, "second": to_second / count},
        "margin": margin / count,
    }


def _gates(store: Reader, run: Run, round_number: int | None) -> dict[TurnKind, dict[str | None, int]]:
    """How many drafts and revisions each gate rejected; those that passed are under None."""
    kind, note = col(Turn.kind), col(Turn.note)
    statement = (
        select(kind, note, func.count())
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .where(*_said(run, round_number), kind.in_([TurnKind.DRAFT, TurnKind.REVISION]))
        .group_by(kind, note)
        .order_by(func.count().desc(), note)
    )
    found: dict[TurnKind, dict[str | None, int]] = {TurnKind.DRAFT: {}, TurnKind.REVISION: {}}
    for said, gate, number in store.rows(statement):
        found[said][gate] = number
    return found


def _demonstrations(store: Reader, run: Run, round_number: int | None) -> dict[str, Any]:
    """What the teacher wrote, and why some of it was turned away."""
    note = col(Turn.note)
    statement = (
        select(note, func.count())
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .where(col(Turn.run_id) == run.id, col(Turn.agent) == Agent.TEACHER, col(Turn.kind) == TurnKind.DEMONSTRATION)
        .group_by(note)
        .order_by(func.count().desc(), note)
    )
    if round_number is not None:
        statement = statement.where(col(Dialogue.round) == round_number, col(Dialogue.stage) == Stage.COLLECT)
    reasons: dict[str | None, int] = dict(store.rows(statement))
    return {"made": sum(reasons.values()), "rejected": _rejected(reasons), "valid": reasons.get(None, 0)}


def _drafts(
    store: Reader, run: Run, round_number: int | None, gates: dict[str | None, int]
) -> tuple[dict[str, Any], dict[str, int]]:
    passed = case((col(Turn.note).is_(None), col(Turn.content_hash)))
    of_dialogue = (
        select(
            col(Turn.dialogue_id).label("dialogue_id"),
            col(Dialogue.status).label("status"),
            func.count(passed).label("passed"),
            func.count(distinct(passed)).label("valid"),
        )
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .where(*_said(run, round_number), col(Turn.kind) == TurnKind.DRAFT)
        .group_by(col(Turn.dialogue_id), col(Dialogue.status))
        .subquery()
    )
    second = aliased(Turn)
    compared = (
        select(col(VerdictRow.id))
        .join(second, col(VerdictRow.second_turn_id) == col(second.id))
        .where(
            col(VerdictRow.dialogue_id) == of_dialogue.c.dialogue_id,
            col(VerdictRow.agent) == "critic",
            col(second.kind) == TurnKind.DRAFT,
        )
        .correlate(of_dialogue)
        .exists()
    )
    over, valid = of_dialogue.c.status == "finished", of_dialogue.c.valid
    counts = select(
        _total(of_dialogue.c.passed - valid),
        _total(valid),
        _count(over),
        _count(and_(over, valid == 0)),
        _count(and_(over, valid == 1)),
        _count(and_(over, valid > 1, ~compared)),
    )
    [(duplicates, left, drafted, none, one, unlike)] = store.rows(counts)
    return (
        {"made": sum(gates.values()), "rejected": _rejected(gates), "duplicates": duplicates, "valid": left},
        {"drafted": drafted, "no_valid_draft": none, "one_valid_draft": one, "no_similar_length": unlike},
    )


def _revisions(store: Reader, run: Run, round_number: int | None, gates: dict[str | None, int]) -> dict[str, Any]:
    parent = aliased(Turn)
    revision = *_said(run, round_number), col(Turn.kind) == TurnKind.REVISION
    unchanged = (
        select(func.count())
        .select_from(Turn)
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .join(parent, col(Turn.parent_turn_id) == col(parent.id))
        .where(*revision, col(Turn.note).is_(None), col(Turn.content_hash) == col(parent.content_hash))
    )
    won = or_(
        and_(col(VerdictRow.outcome) == "win", col(VerdictRow.first_turn_id) == col(Turn.id)),
        and_(col(VerdictRow.outcome) == "loss", col(VerdictRow.second_turn_id) == col(Turn.id)),
    )
    accepted = (
        select(func.count(distinct(col(Turn.id))))
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .join(VerdictRow, and_(col(VerdictRow.dialogue_id) == col(Turn.dialogue_id), won))
        .where(*revision, col(VerdictRow.agent) == "critic")
    )
    return {
        "made": sum(gates.values()),
        "rejected": _rejected(gates),
        "unchanged": store.rows(unchanged)[0][0],
        "accepted": store.rows(accepted)[0][0],
    }


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
    settings = PreferenceSettings.model_validate(run.config.get("preferences", {}))
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
    if max_staleness is not None:
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


def _said(run: Run, round_number: int | None) -> list[ColumnElement[bool]]:
    """What the student said in the run's collected dialogues."""
    conditions = [
        col(Turn.run_id) == run.id,
        col(Turn.agent) == Agent.STUDENT,
        col(Dialogue.stage) == Stage.COLLECT,
    ]
    return conditions if round_number is None else [*conditions, col(Dialogue.round) == round_number]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return _total(case((condition, 1), else_=0))


def _total(number: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL sums integers up to one of any length, which is no int in Python.
    return cast(func.coalesce(func.sum(number), 0), BigInteger)


def _rejected(gates: dict[str | None, int]) -> dict[str, int]:
    return {gate: number for gate, number in gates.items() if gate is not None}
