"""Dialogues in numbers, counted once when they finish, so that a run's numbers cost a look at its dialogues alone.

A finished dialogue is never said anything in again. What is counted of it is written with its end, in the same
transaction; what is not finished, or was added as finished, is counted whenever somebody looks. Both are counted by
`counted`, and `verify` does it again.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Column, ColumnElement, Connection, Select, String, bindparam, case, func, select, type_coerce
from sqlmodel import SQLModel, col

from ..core.records import Agent, Stage, TurnKind
from .faults import unreadable
from .reading import Reader, chunks
from .schema import column_of
from .tables.transcript import BallotRow, Dialogue, DialogueStatus, Turn, VerdictRow

Counts = Mapping[str, int]
"""What was counted, by what it is of, such as `turn/draft`; what there is none of is left out."""
TURN = "turn/"
"""Turns by kind."""
DRAFT, REVISION, DEMONSTRATION = "draft", "revision", "demonstration"
"""The student's and the teacher's texts without a note; those with one by it, as in `draft/too long`."""
VALID, COMPARED, UNCHANGED, ACCEPTED = "valid", "compared", "unchanged", "accepted"
"""Different drafts without a note, comparisons of drafts, revisions that say what they revise, and those preferred."""
SAMPLED, EXTRA = "sampled/", "extra/"
"""By agent: comparisons for which labels were sampled, and replies beyond one in each order."""


_SAID = ("id", "dialogue_id", "agent", "kind", "note", "content_hash", "parent_turn_id")
_JUDGED = ("dialogue_id", "agent", "outcome", "first_turn_id", "second_turn_id")
_LABEL = ("verdict_id", "member", "forward")
_Looks = tuple[Select[Any], Select[Any], Select[Any]]


def _looks(condition: Callable[[Column[str]], ColumnElement[bool]]) -> _Looks:
    """What `counted` looks at, of dialogues that a condition names: turns, verdicts, and ballots of sampled labels."""
    judged = column_of(VerdictRow, "dialogue_id")
    return (
        select(*(_plain(Turn, name) for name in _SAID)).where(condition(column_of(Turn, "dialogue_id"))),
        select(*(_plain(VerdictRow, name) for name in _JUDGED)).where(condition(judged)),
        select(judged, column_of(VerdictRow, "agent"), *(column_of(BallotRow, name) for name in _LABEL))
        .join(BallotRow, col(BallotRow.verdict_id) == col(VerdictRow.id))
        .where(condition(judged), col(BallotRow.method) == "sampled"),
    )


def _plain(model: type[SQLModel], name: str) -> ColumnElement[Any]:
    """A column as the database has it: members of enumerations equal their texts, and take time."""
    return type_coerce(column_of(model, name), String).label(name)


_KINDS = frozenset(map(str, TurnKind))
_OF_SOME: _Looks = _looks(lambda column: column.in_(bindparam("ids", expanding=True)))
_OF_ONE: _Looks = _looks(lambda column: column == bindparam("ids"))
"""Made once: to put a statement together takes longer than it does."""


class _Said(Protocol):
    """What is looked at of a turn."""

    id: str
    agent: Agent
    kind: TurnKind
    note: str | None
    content_hash: str
    parent_turn_id: str | None


class Tallied(NamedTuple):
    """Dialogues that are alike in all that is counted."""

    stage: Stage
    round: int
    status: DialogueStatus
    stop_reason: str | None
    number: int
    """How many dialogues these are."""
    counts: Counts
    """Of each of them."""


def counted(turns: Iterable[Any], verdicts: Iterable[Any], ballots: Iterable[Any]) -> Counts:
    """What was said in one dialogue, counted.

    Args:
        turns: Its turns.
        verdicts: Its verdicts.
        ballots: Those of them for which labels were sampled, with the `agent` of the verdict.
    """
    found: Counter[str] = Counter()
    said: dict[str, _Said] = {turn.id: turn for turn in turns}
    passed: set[str] = set()
    revisions: set[str] = set()
    for turn in said.values():
        found[TURN + turn.kind] += 1
        note = "" if turn.note is None else f"/{turn.note}"
        if turn.agent == Agent.STUDENT and turn.kind == TurnKind.DRAFT:
            found[DRAFT + note] += 1
            if turn.note is None:
                passed.add(turn.content_hash)
        elif turn.agent == Agent.STUDENT and turn.kind == TurnKind.REVISION:
            revisions.add(turn.id)
            found[REVISION + note] += 1
            parent = said.get(turn.parent_turn_id or "")
            if turn.note is None and parent is not None and parent.content_hash == turn.content_hash:
                found[UNCHANGED] += 1
        elif turn.agent == Agent.TEACHER and turn.kind == TurnKind.DEMONSTRATION:
            found[DEMONSTRATION + note] += 1
    accepted: set[str] = set()
    for verdict in verdicts:
        if verdict.agent != "critic":
            continue
        second = said.get(verdict.second_turn_id)
        found[COMPARED] += second is not None and second.kind == TurnKind.DRAFT
        if verdict.outcome in {"win", "loss"}:
            accepted.add(verdict.first_turn_id if verdict.outcome == "win" else verdict.second_turn_id)
    found[VALID], found[ACCEPTED] = len(passed), len(accepted & revisions)
    labels = Counter((ballot.agent, ballot.verdict_id, ballot.member, ballot.forward) for ballot in ballots)
    for agent, _ in {(agent, verdict) for agent, verdict, _, _ in labels}:
        found[SAMPLED + agent] += 1
    for (agent, *_), number in labels.items():
        found[EXTRA + agent] += number - 1
    return {name: number for name, number in found.items() if number}


def count_anew(reader: Reader, ids: Collection[str]) -> dict[str, Counts]:
    """What was said in each of these dialogues, as their turns and verdicts have it now."""
    rows: tuple[dict[str, list[Any]], ...] = tuple(defaultdict(list) for _ in range(3))
    for some in chunks(list(ids)):
        for found, statement in zip(rows, _OF_SOME, strict=True):
            for row in reader.rows(statement, ids=some):
                found[row.dialogue_id].append(row)
    if odd := {turn.kind for turns in rows[0].values() for turn in turns} - _KINDS:  # read as plain texts
        raise unreadable(reader.url, LookupError(f"{min(odd)!r} is no kind of turn"))
    return {name: counted(*(found.get(name, ()) for found in rows)) for name in ids}


def tally_of(connection: Connection, dialogue_id: str) -> str:
    """What is written with the end of a dialogue."""
    key = {"ids": dialogue_id}
    return as_text(counted(*(connection.execute(statement, key).all() for statement in _OF_ONE)))


def as_text(counts: Counts) -> str:
    """Counts as they are stored: equal ones are equal texts."""
    return json.dumps(counts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def tallies(reader: Reader, run_id: str) -> list[Tallied]:
    """All dialogues of a run; those that are alike and finished stand together."""
    uncounted = case((col(Dialogue.tally).is_(None), col(Dialogue.id)))
    alike = (
        *(col(Dialogue.stage), col(Dialogue.round), col(Dialogue.status), col(Dialogue.stop_reason)),
        *(col(Dialogue.tally), uncounted),
    )
    # One statement, so that none is seen twice, or not at all, that finishes meanwhile.
    rows = reader.rows(select(*alike, func.count()).where(col(Dialogue.run_id) == run_id).group_by(*alike))
    anew = count_anew(reader, [identity for *_, identity, _ in rows if identity is not None])
    return [
        Tallied(stage, number, status, why, alike_, json.loads(tally) if identity is None else anew[identity])
        for stage, number, status, why, tally, identity, alike_ in rows
    ]


def summed(tallied: Iterable[Tallied]) -> Counter[str]:
    """The counts of several dialogues together."""
    found: Counter[str] = Counter()
    for one in tallied:
        for name, number in one.counts.items():
            found[name] += number * one.number
    return found


def by_name(counts: Counts, prefix: str) -> dict[str, int]:
    """Those of one kind by what follows it, in its order."""
    return {name.removeprefix(prefix): counts[name] for name in sorted(counts) if name.startswith(prefix)}
