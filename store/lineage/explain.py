"""Where a text or an adapter comes from, and what became of it: lineage both ways, read from the rows.

Every step is looked up by an index, many rows at a time, so it takes as long for a large store as for a small one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from sqlmodel import SQLModel

from ...core.errors import NotFoundError
from ...core.records import TurnKind
from ..reading import Reader
from ..tables.training import Adapter, Evaluation, EvaluationItem, Training, TrainingItem, left_out_items
from ..tables.transcript import (
    BallotRow,
    CritiqueRow,
    Dialogue,
    ExampleRow,
    LLMCall,
    Preference,
    PromptTemplateRow,
    Run,
    RunExample,
    Turn,
    VerdictRow,
)
from .model import (
    AdapterLineage,
    Ancestor,
    CritiqueLineage,
    LearnedBy,
    LearnedItem,
    PreferenceLineage,
    TurnLineage,
    TurnWithPrompt,
    VerdictLineage,
    VerdictReply,
)

T = TypeVar("T", bound=SQLModel)


def explain_turn(reader: Reader, turn_id: str, *, limit: int | None = None) -> TurnLineage:
    """The lineage of a turn, both ways.

    Args:
        reader: The store.
        turn_id: Which.
        limit: The most things to give that its adapter learned from; None for all.

    Raises:
        NotFoundError: There is no such turn.
    """
    turn = reader.get(Turn, turn_id)
    if turn is None:
        raise NotFoundError(f"there is no turn {turn_id!r} in the store {reader.url!r}")
    run, dialogue = reader.get(Run, turn.run_id), reader.get(Dialogue, turn.dialogue_id)
    assert run is not None
    assert dialogue is not None
    example = reader.get(ExampleRow, dialogue.example_id)
    assert example is not None
    part_of = _verdict_of(reader, turn)
    revisions = _revisions(reader, turn)
    preferences = _preferences(reader, _preferences_of(reader, turn, revisions, part_of))
    said = _said(reader, _set((turn.id, turn.parent_turn_id, *(revision.id for revision in revisions))))
    return TurnLineage(
        said=said[turn.id],
        run=run,
        dialogue=dialogue,
        example=example,
        split=_split(reader, run, example),
        call=None if turn.request_key is None else reader.get(LLMCall, (run.id, turn.request_key)),
        answers=said[turn.parent_turn_id] if turn.parent_turn_id else None,
        adapter=None
        if turn.adapter_version is None
        else explain_adapter(reader, run.id, turn.adapter_version, limit=limit),
        part_of=None if part_of is None else _verdicts(reader, [part_of])[part_of.id],
        critiques=_critiques(reader, [turn.id]),
        verdicts=list(
            _verdicts(reader, _either(reader, VerdictRow, "first_turn_id", "second_turn_id", turn.id)).values()
        ),
        revisions=[said[revision.id] for revision in revisions],
        preferences=preferences,
        learned_by=_learned_by(reader, turn, preferences),
        evaluation_items=_either(reader, EvaluationItem, "output_turn_id", "reference_turn_id", turn.id),
    )


def explain_adapter(
    reader: Reader, run_id: str, version: int, *, limit: int | None = None, skip: int = 0
) -> AdapterLineage:
    """The lineage of an adapter, both ways.

    Args:
        reader: The store.
        run_id: Whose.
        version: Which; 0 is the base model.
        limit: The most things to give that it learned from; None for all.
        skip: How many of them to leave out before the first.

    Raises:
        NotFoundError: The run has no such version.
    """
    run = reader.get(Run, run_id)
    adapters = {row.version: row for row in reader.select(Adapter, run_id=run_id, order_by="version")}
    adapter = adapters.get(version)
    if run is None or adapter is None:
        raise NotFoundError(f"run {run_id} has no adapter version {version}; it has {sorted(adapters) or 'none yet'}")
    trainings = {row.id: row for row in reader.select(Training, id=_set(a.training_id for a in adapters.values()))}
    training = trainings.get(adapter.training_id or "")
    items = _items(reader, training, limit, skip)
    total = reader.count(TrainingItem, training_id=adapter.training_id) if adapter.training_id else 0
    left_out = frozenset() if training is None else left_out_items(training)
    return AdapterLineage(
        run=run,
        adapter=adapter,
        training=training,
        ancestors=[Ancestor(adapter=a, training=trainings.get(a.training_id or "")) for a in _line(adapters, adapter)],
        learned=_learned(reader, items),
        learned_total=total - len(left_out),
        left_out={str(training.metrics["left_out_why"]): len(left_out)} if training is not None and left_out else {},
        evaluations=reader.select(Evaluation, run_id=run_id, adapter_version=version, order_by="created_at"),
        descendants=[row for row in adapters.values() if row.parent_version == version],
        turns=reader.count(Turn, run_id=run_id, adapter_version=version),
    )


def _line(adapters: dict[int, Adapter], adapter: Adapter) -> list[Adapter]:
    found: list[Adapter] = []
    while adapter.parent_version in adapters and adapter.parent_version != adapter.version:
        adapter = adapters[adapter.parent_version]
        found.append(adapter)
    return found


def _items(reader: Reader, training: Training | None, limit: int | None, skip: int = 0) -> list[TrainingItem]:
    """What a training learned from, so many after those that are skipped."""
    if training is None:
        return []
    left_out = left_out_items(training)
    most = None if limit is None else skip + limit + len(left_out)
    items = reader.select(TrainingItem, training_id=training.id, order_by="position", limit=most)
    return [item for item in items if item.id not in left_out][skip:][:limit]


def _learned(reader: Reader, items: Sequence[TrainingItem]) -> list[LearnedItem]:
    texts = _said(reader, _set(item.turn_id for item in items))
    rows = reader.select(Preference, id=_set(item.preference_id for item in items))
    preferences = {found.preference.id: found for found in _preferences(reader, rows)}
    return [
        LearnedItem(item=item, preference=preferences.get(item.preference_id or ""), text=texts.get(item.turn_id or ""))
        for item in items
    ]


def _said(reader: Reader, turn_ids: Iterable[str]) -> dict[str, TurnWithPrompt]:
    turns = reader.select(Turn, id=list(set(turn_ids)))
    templates = {
        row.hash: row for row in reader.select(PromptTemplateRow, hash=_set(turn.template_hash for turn in turns))
    }
    return {turn.id: TurnWithPrompt(turn=turn, template=templates.get(turn.template_hash or "")) for turn in turns}


def _verdicts(reader: Reader, verdicts: Sequence[VerdictRow]) -> dict[str, VerdictLineage]:
    """The verdicts by their ids, in the order they were given."""
    ballots: dict[str, list[BallotRow]] = {verdict.id: [] for verdict in verdicts}
    for ballot in reader.select(BallotRow, verdict_id=list(ballots)):
        ballots[ballot.verdict_id].append(ballot)
    named = {turn for row in verdicts for turn in (row.first_turn_id, row.second_turn_id)}
    said = _said(reader, named | {ballot.turn_id for cast in ballots.values() for ballot in cast})
    found = {}
    for verdict in sorted(verdicts, key=lambda row: (row.created_at, row.id)):
        replies = [VerdictReply(said=said[ballot.turn_id], ballot=ballot) for ballot in ballots[verdict.id]]
        replies.sort(key=lambda reply: reply.said.turn.seq)
        first, second = said[verdict.first_turn_id].turn, said[verdict.second_turn_id].turn
        found[verdict.id] = VerdictLineage(verdict=verdict, first=first, second=second, replies=replies)
    return found


def _critiques(reader: Reader, turn_ids: Iterable[str]) -> list[CritiqueLineage]:
    rows = reader.select(CritiqueRow, target_turn_id=list(set(turn_ids)))
    said = _said(reader, [row.turn_id for row in rows])
    found = [CritiqueLineage(critique=row, said=said[row.turn_id]) for row in rows]
    return sorted(found, key=lambda critique: (critique.said.turn.dialogue_id, critique.said.turn.seq))


def _preferences(reader: Reader, rows: Sequence[Preference]) -> list[PreferenceLineage]:
    texts = {turn for row in rows for turn in (row.chosen_turn_id, row.rejected_turn_id)}
    said = _said(reader, texts)
    verdicts = _verdicts(reader, reader.select(VerdictRow, id=_set(row.verdict_id for row in rows)))
    critiques: dict[str, list[CritiqueLineage]] = {}
    for critique in _critiques(reader, texts):
        critiques.setdefault(critique.critique.target_turn_id, []).append(critique)
    return [
        PreferenceLineage(
            preference=row,
            chosen=said[row.chosen_turn_id],
            rejected=said[row.rejected_turn_id],
            verdict=verdicts.get(row.verdict_id or ""),
            critiques=[*critiques.get(row.chosen_turn_id, []), *critiques.get(row.rejected_turn_id, [])],
        )
        for row in rows
    ]


def _verdict_of(reader: Reader, turn: Turn) -> VerdictRow | None:
    """The verdict that a turn is part of."""
    ballot = reader.get(BallotRow, turn.id) if turn.kind is TurnKind.VERDICT else None
    return None if ballot is None else reader.get(VerdictRow, ballot.verdict_id)


def _revisions(reader: Reader, turn: Turn) -> list[Turn]:
    """The revisions of a text; of a critique, the next revision of what it criticises."""
    if turn.kind is not TurnKind.CRITIQUE:
        return reader.select(Turn, parent_turn_id=turn.id, kind=TurnKind.REVISION, order_by="seq")
    if turn.parent_turn_id is None:
        return []
    made = reader.select(Turn, parent_turn_id=turn.parent_turn_id, kind=TurnKind.REVISION, order_by="seq")
    return [revision for revision in made if revision.seq > turn.seq][:1]


def _preferences_of(
    reader: Reader, turn: Turn, revisions: Sequence[Turn], part_of: VerdictRow | None
) -> list[Preference]:
    if part_of is not None:
        return reader.select(Preference, verdict_id=part_of.id, order_by="created_at")
    texts = [revision.id for revision in revisions] if turn.kind is TurnKind.CRITIQUE else [turn.id]
    return _either(reader, Preference, "chosen_turn_id", "rejected_turn_id", texts)


def _learned_by(reader: Reader, turn: Turn, preferences: Sequence[PreferenceLineage]) -> list[LearnedBy]:
    by_id = {found.preference.id: found for found in preferences}
    items = [
        *reader.select(TrainingItem, turn_id=turn.id),
        *reader.select(TrainingItem, preference_id=list(by_id)),
    ]
    trainings = {row.id: row for row in reader.select(Training, id=list({item.training_id for item in items}))}
    left_out = {identity: left_out_items(training) for identity, training in trainings.items()}
    made = reader.select(Adapter, training_id=list(trainings))
    # A run that works on another's transcripts has copies of that run's adapters.
    adapters = {row.training_id: row for row in made if row.run_id == trainings[row.training_id or ""].run_id}
    found = [
        LearnedBy(
            training=trainings[item.training_id],
            adapter=adapters.get(item.training_id),
            evaluations=_evaluations(reader, adapters.get(item.training_id)),
            preference=by_id.get(item.preference_id or ""),
        )
        for item in items
        if item.id not in left_out[item.training_id]
    ]
    return sorted(found, key=lambda one: (one.training.started_at, one.training.id))


def _evaluations(reader: Reader, adapter: Adapter | None) -> list[Evaluation]:
    if adapter is None:
        return []
    return reader.select(Evaluation, run_id=adapter.run_id, adapter_version=adapter.version, order_by="created_at")


def _either(reader: Reader, table: type[T], one: str, other: str, turn_ids: str | list[str]) -> list[T]:
    """Rows that name a turn in either of two columns."""
    either: tuple[dict[str, Any], ...] = {one: turn_ids}, {other: turn_ids}
    return [row for equal in either for row in reader.select(table, **equal)]


def _set(ids: Iterable[str | None]) -> list[str]:
    """Those that are ids, each once."""
    return [identity for identity in dict.fromkeys(ids) if identity is not None]


def _split(reader: Reader, run: Run, example: ExampleRow) -> str | None:
    """Which part an input plays, which is for the campaign to say that a run goes back to."""
    place = reader.get(RunExample, (reader.campaign_of(run).id, example.id))
    return None if place is None else place.split.value
