"""Full-text search over what was said and what it was said about.

The database finds, by its own index (FTS5 on SQLite, GIN over `tsvector` on PostgreSQL). Ranking, and cutting the
passage that is shown, happen here, so that both answer alike. What a word is, is said in `words`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, column, func, literal_column, select, table
from sqlmodel import col

from ...core.errors import NotFoundError
from ..reading import Reader
from ..tables.transcript import Dialogue, ExampleRow, Turn
from .words import READ, Term, Word, example_matches, terms_of, turn_matches, turn_query, words_of

LATEST_TURNS, LATEST_INPUTS = 500, 100
"""How many matches are looked at, the latest of them: a word that every turn holds must not take seconds."""

_USUAL_LENGTH = 40
"""Words of a text that is neither long nor short."""
_SHOWN, _BEFORE = 200, 60
"""Characters of a passage, and how many of them come before its first match."""
_GAP = "…"
_WORDS = table("turn_words", column("rowid"), column("turn_words"))


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A turn that matches, with what a list of hits shows of it."""

    turn: Turn
    example_text: str
    """The input of the turn's dialogue."""
    dialogue: Dialogue
    snippet: list[tuple[str, bool]]
    """The passage around the first match, in pieces, each with whether it matched. Raw text: neutralise it."""
    in_input: bool = False
    """Whether it is the input that matches; `turn` is what its latest dialogue arrived at."""


@dataclass(frozen=True, slots=True)
class _Match:
    """A turn's id, the text in which a match was found, and how good it is."""

    turn_id: str
    text: str
    score: float
    moment: Any
    in_input: bool


def search(
    reader: Reader, text: str, *, run_id: str | None = None, limit: int = 20, after: str | None = None
) -> list[SearchHit]:
    """Turns that hold all words of a query, the best first, and after them those whose input does.

    Of more than `LATEST_TURNS` turns that match, only the latest are ranked and returned. For an input stands its
    latest dialogue. A text is the better the more often it holds the words and the shorter it is; of equals the later
    comes first.

    Args:
        reader: The store.
        text: Words, and phrases in double quotes; whatever else is in it only separates words. Without any word nothing
            matches.
        run_id: None for all runs.
        limit: The most hits.
        after: The turn of the last hit of the page before.

    Raises:
        NotFoundError: The turn `after` is not among the hits.
    """
    terms = terms_of(text)
    if not terms:
        return []
    said = reader.rows(_turns(reader, terms, run_id))
    inputs = reader.rows(_inputs(terms, run_id))
    matches = [_Match(*row, in_input=False) for row in _scored(said, terms)]
    known = {match.turn_id for match in matches}
    matches += [_Match(*row, in_input=True) for row in _scored(inputs, terms) if row[0] not in known]
    matches.sort(key=lambda match: (match.moment, match.turn_id), reverse=True)
    matches.sort(key=lambda match: (match.in_input, -match.score))
    if after is not None:
        places = [place for place, match in enumerate(matches) if match.turn_id == after]
        if not places:
            raise NotFoundError(f"turn {after!r} is not among the hits of {text!r} (any more): search again")
        matches = matches[places[0] + 1 :]
    return _hits(reader, matches[:limit], terms)


def _turns(reader: Reader, terms: Sequence[Term], run_id: str | None) -> Select[Any]:
    statement = select(col(Turn.id), func.substr(col(Turn.content), 1, READ), col(Turn.created_at))
    if reader.dialect == "sqlite":
        if run_id is not None:
            # The plus keeps SQLite from walking through the run instead of the words.
            statement = statement.where(literal_column("+turn.run_id") == run_id)
        statement = statement.join(_WORDS, literal_column("turn.rowid") == _WORDS.c.rowid)
        statement = statement.where(_WORDS.c.turn_words.op("MATCH")(turn_query(terms, run_id)))
        return statement.order_by(_WORDS.c.rowid.desc()).limit(LATEST_TURNS)
    if run_id is not None:
        statement = statement.where(col(Turn.run_id) == run_id)
    return statement.where(turn_matches(terms)).order_by(col(Turn.created_at).desc()).limit(LATEST_TURNS)


def _inputs(terms: Sequence[Term], run_id: str | None) -> Select[Any]:
    """The turn that stands for each input that matches."""
    of_input = select(col(Dialogue.id)).where(col(Dialogue.example_id) == col(ExampleRow.id)).correlate(ExampleRow)
    if run_id is not None:
        of_input = of_input.where(col(Dialogue.run_id) == run_id)
    latest = of_input.order_by(col(Dialogue.started_at).desc(), col(Dialogue.id)).limit(1).scalar_subquery()
    found = (
        select(col(ExampleRow.text).label("text"), latest.label("dialogue_id")).where(example_matches(terms)).subquery()
    )
    first = select(col(Turn.id)).where(col(Turn.dialogue_id) == col(Dialogue.id)).correlate(Dialogue)
    turn_id = func.coalesce(col(Dialogue.final_turn_id), first.order_by(col(Turn.seq)).limit(1).scalar_subquery())
    return (
        select(turn_id, func.substr(found.c.text, 1, READ), col(Dialogue.started_at))
        .join(found, found.c.dialogue_id == col(Dialogue.id))
        .where(turn_id.is_not(None))
        .order_by(col(Dialogue.started_at).desc())
        .limit(LATEST_INPUTS)
    )


def _scored(rows: Sequence[Any], terms: Sequence[Term]) -> list[tuple[str, str, float, Any]]:
    return [(turn_id, text, _score(words_of(text), terms), moment) for turn_id, text, moment in rows]


def _score(words: Sequence[Word], terms: Sequence[Term]) -> float:
    """BM25 without the rarity of words: every hit holds all of them."""
    damping = 1.2 * (0.25 + 0.75 * len(words) / _USUAL_LENGTH)
    counts = [len(_places(words, term)) for term in terms]
    return sum(2.2 * count / (count + damping) for count in counts)


def _places(words: Sequence[Word], term: Term) -> list[int]:
    """Where a term begins, as places among the words."""
    return [
        place
        for place, word in enumerate(words)
        if word.folded == term[0]
        and (len(term) == 1 or tuple(w.folded for w in words[place : place + len(term)]) == term)
    ]


def _hits(reader: Reader, matches: Sequence[_Match], terms: Sequence[Term]) -> list[SearchHit]:
    turns = {turn.id: turn for turn in reader.select(Turn, id=[match.turn_id for match in matches])}
    dialogues = {one.id: one for one in reader.select(Dialogue, id=[turn.dialogue_id for turn in turns.values()])}
    examples = {one.id: one for one in reader.select(ExampleRow, id=[one.example_id for one in dialogues.values()])}
    hits = []
    for match in matches:
        turn = turns[match.turn_id]
        dialogue = dialogues[turn.dialogue_id]
        hits.append(
            SearchHit(
                turn=turn,
                example_text=examples[dialogue.example_id].text,
                dialogue=dialogue,
                snippet=snippet(match.text, terms),
                in_input=match.in_input,
            )
        )
    return hits


def snippet(text: str, terms: Sequence[Term]) -> list[tuple[str, bool]]:
    """The passage of a text around the first match, in pieces, each with whether it matched."""
    words = words_of(text)
    spans = sorted(
        (words[place].start, words[place + len(term) - 1].end) for term in terms for place in _places(words, term)
    )
    begin = max(0, (spans[0][0] if spans else 0) - _BEFORE)
    begin = next((word.start for word in words if word.start >= begin), 0) if begin else 0
    end = min(len(text), begin + _SHOWN)
    end = end if end == len(text) else next((w.end for w in reversed(words) if begin < w.end <= end), end)
    pieces = [(_GAP, False)] if begin else []
    at = begin
    for start, stop in spans:
        if start >= at and stop <= end:
            pieces += [(text[at:start], False), (text[start:stop], True)]
            at = stop
    pieces += [(text[at:end], False), (_GAP if end < len(text) else "", False)]
    return [piece for piece in pieces if piece[0]]
