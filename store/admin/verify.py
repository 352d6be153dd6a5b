"""Looking for what should be impossible: texts that are not what was hashed, references to nothing, broken lineages.

Reads the whole store, a page at a time, beside any writer. The files of adapters are not the store's to read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Select, and_, or_, select, text
from sqlmodel import SQLModel, col

from ...core.errors import StoreError, StoreFaultError
from ...core.ids import content_hash
from ...core.records import LLMReply, LLMRequest, Message, Sampling
from ..reading import Messages, Reader
from ..schema import table_of
from ..tables.training import Adapter, Evaluation, Training, TrainingItem
from ..tables.transcript import (
    Dialogue,
    ExampleRow,
    LLMCall,
    Preference,
    PromptRow,
    PromptTemplateRow,
    Run,
    Turn,
    VerdictRow,
)
from ..tally import as_text, count_anew

_PAGE = 2_000
_READ_NOWHERE_ELSE: tuple[type[SQLModel], ...] = (Run, VerdictRow, Preference, Training, Adapter, Evaluation)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it must be."""

    check: str
    row: str
    """The row, as its table and its key."""
    what: str


def verify(reader: Reader) -> Iterator[Fault]:
    """Every fault of a store, in the order of the checks.

    Values: that each is one of its column's. Hashes: of each turn's content, of each input, prompt, prompt template,
    LLM request and reply, that a reply is one, and that a turn answers the prompt of its request. Tallies: that a
    finished dialogue holds what was counted. References: that each leads to a row (PostgreSQL enforces it, SQLite is
    asked), that a turn, its dialogue and its run belong together, that a dialogue ends with a turn of its own, that a
    preference agrees with its verdict, a training's items with the training, and an adapter with the training that made
    it. On SQLite also the file itself, and nothing else where that is damaged, and that its index of words is of its
    rows.
    """
    if reader.dialect == "sqlite":
        damage = list(_file(reader))
        yield from damage
        if damage:  # what a damaged file says of anything else is not to be relied on
            return
        yield from _references(reader)
        if _pragma(reader, "user_version") != [[0]]:
            what = "knows rows by numbers that they no longer have: `openmic db migrate` makes it anew"
            yield Fault("words", "the index of words", what)
    template = partial(
        _hashes, reader, PromptTemplateRow, "template", lambda t: (t.hash, content_hash([t.role, t.purpose, t.text]))
    )
    checks: list[tuple[str, Callable[[], Iterator[Fault]]]] = [
        *((table_of(table).name, partial(_readable, reader, table)) for table in _READ_NOWHERE_ELSE),
        (
            "content",
            partial(_hashes, reader, Turn, "content", lambda turn: (turn.content_hash, content_hash(turn.content))),
        ),
        (
            "input",
            partial(_hashes, reader, ExampleRow, "input", lambda example: (example.id, content_hash(example.text))),
        ),
        ("template", template),
        ("prompt", partial(_hashes, reader, PromptRow, "prompt", lambda p: (p.hash, content_hash(p.messages)))),
        ("request", partial(_requests, reader)),
        ("asked", partial(_asked, reader)),
        ("tally", partial(_tallies, reader)),
    ]
    for check, faults in checks:
        try:
            yield from faults()
        except StoreFaultError as error:  # a row that cannot be read ends its check alone
            yield Fault(check, "database", str(error))
    for check, statement, what in _lineage():
        for row, other in reader.rows(statement):
            yield Fault(check, row, what.format(other))


def _file(reader: Reader) -> Iterator[Fault]:
    try:
        problems = [str(problem) for (problem,) in _pragma(reader, "integrity_check")]
    except StoreError as error:
        problems = [str(error)]
    yield from (Fault("file", "database", problem) for problem in problems if problem != "ok")


def _references(reader: Reader) -> Iterator[Fault]:
    for table, rowid, parent, _ in _pragma(reader, "foreign_key_check"):
        yield Fault("reference", f"{table} (rowid {rowid})", f"refers to a row that {parent} does not hold")


def _pragma(reader: Reader, name: str) -> list[list[Any]]:
    rows: Select[Any] = select(text("*")).select_from(text(f"pragma_{name}"))
    return [list(row) for row in reader.rows(rows)]


def _hashes(
    reader: Reader, table: type[SQLModel], check: str, hashes: Callable[[Any], tuple[str, str | None]]
) -> Iterator[Fault]:
    for rows in _pages(reader, table):
        for row in rows:
            recorded, found = hashes(row)
            if recorded != found:
                yield _unlike(check, row, recorded, found)


def _unlike(check: str, row: SQLModel, recorded: str, found: str | None) -> Fault:
    table = table_of(type(row))
    key = "/".join(str(getattr(row, column.name)) for column in table.primary_key.columns)
    what = "cannot be read" if found is None else f"has the hash {found[:12]}…, recorded is {recorded[:12]}…"
    return Fault(check, f"{table.name} {key}", what)


def _pages(reader: Reader, table: type[SQLModel]) -> Iterator[list[Any]]:
    keys = list(table_of(table).primary_key.columns)
    last: tuple[Any, ...] | None = None
    while True:
        statement = select(table).order_by(*keys).limit(_PAGE)
        if last is not None:
            statement = statement.where(_after(keys, last))
        rows = [row for (row,) in reader.rows(statement)]
        yield rows
        if len(rows) < _PAGE:
            return
        last = tuple(getattr(rows[-1], column.name) for column in keys)


def _after(keys: list[Any], last: tuple[Any, ...]) -> Any:
    first, *more = zip(keys, last, strict=True)
    if not more:
        return first[0] > first[1]
    (second,) = more
    return or_(first[0] > first[1], and_(first[0] == first[1], second[0] > second[1]))


def _readable(reader: Reader, table: type[SQLModel]) -> Iterator[Fault]:
    """Nothing but what reading all rows of a table raises: values that are none of their columns'."""
    for _ in _pages(reader, table):
        yield from ()


def _requests(reader: Reader) -> Iterator[Fault]:
    """Requests whose key is not that of what was asked, or whose reply is none or not what was stored."""
    for calls in _pages(reader, LLMCall):
        prompts = reader.prompts(call.prompt_hash for call in calls)
        for call in calls:
            found = _request_key(call, prompts.get(call.prompt_hash, []))
            if found != call.key:
                yield _unlike("request", call, call.key, found)
            try:
                LLMReply.model_validate(call.reply)
            except ValidationError:
                yield Fault("reply", f"llm_call {call.run_id}/{call.key}", "holds no reply")
                continue
            if (found := content_hash(call.reply)) != call.reply_hash:
                yield _unlike("reply", call, call.reply_hash, found)


def _request_key(call: LLMCall, prompt: Messages) -> str | None:
    """The key of the request as it is stored; None where it is no request."""
    asked = dict(call.request)
    try:
        messages = tuple(Message.model_validate(message) for message in prompt)
        sampling = Sampling.model_validate(asked.pop("sampling"))
        return LLMRequest(role=call.role, model=call.model, messages=messages, sampling=sampling, **asked).key
    except (KeyError, TypeError, ValidationError):
        return None


def _asked(reader: Reader) -> Iterator[Fault]:
    """Turns whose prompt is not that of the request they answer."""
    last = ""
    call = and_(col(LLMCall.run_id) == col(Turn.run_id), col(LLMCall.key) == col(Turn.request_key))
    differs = or_(col(Turn.prompt_hash).is_(None), col(Turn.prompt_hash) != col(LLMCall.prompt_hash))
    turns = select(col(Turn.id)).join(LLMCall, call).where(differs)
    while rows := reader.rows(turns.where(col(Turn.id) > last).order_by(col(Turn.id)).limit(_PAGE)):
        yield from (Fault("asked", f"turn {turn}", "does not answer the prompt of its request") for (turn,) in rows)
        last = rows[-1][0]


def _tallies(reader: Reader) -> Iterator[Fault]:
    """Finished dialogues that are said to hold something else than they do."""
    for rows in _pages(reader, Dialogue):
        tallied = {row.id: row.tally for row in rows if row.tally is not None}
        for name, counts in count_anew(reader, tallied).items():
            if as_text(counts) != tallied[name]:
                yield Fault(
                    "tally", f"dialogue {name}", "holds other turns or verdicts than were counted as it finished"
                )


def _lineage() -> Iterator[tuple[str, Select[str, str], str]]:
    """Checks between tables: a name, a SELECT of faulty rows each with another row, and what to say."""
    yield (
        "turn",
        select("turn " + col(Turn.id), col(Dialogue.id))
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .where(col(Turn.run_id) != col(Dialogue.run_id)),
        "is of another run than its dialogue {0}",
    )
    yield (
        "dialogue",
        select("dialogue " + col(Dialogue.id), col(Turn.id))
        .join(Turn, col(Dialogue.final_turn_id) == col(Turn.id))
        .where(col(Turn.dialogue_id) != col(Dialogue.id)),
        "ends with turn {0}, which is another dialogue's",
    )
    agrees = or_(
        and_(
            col(VerdictRow.first_turn_id) == col(Preference.chosen_turn_id),
            col(VerdictRow.second_turn_id) == col(Preference.rejected_turn_id),
            col(VerdictRow.outcome) == "win",
        ),
        and_(
            col(VerdictRow.second_turn_id) == col(Preference.chosen_turn_id),
            col(VerdictRow.first_turn_id) == col(Preference.rejected_turn_id),
            col(VerdictRow.outcome) == "loss",
        ),
    )
    yield (
        "preference",
        select("preference " + col(Preference.id), col(VerdictRow.id))
        .join(VerdictRow, col(Preference.verdict_id) == col(VerdictRow.id))
        .where(or_(~agrees, col(Preference.source) != col(VerdictRow.source))),
        "is not what its verdict {0} says about the same two turns",
    )
    yield (
        "training item",
        select("training_item " + col(TrainingItem.id), col(Training.id))
        .join(Training, col(TrainingItem.training_id) == col(Training.id))
        .where(col(TrainingItem.run_id) != col(Training.run_id)),
        "is of another run than its training {0}",
    )
    yield (
        "adapter",
        select("adapter " + col(Adapter.id), col(Training.id))
        .join(Training, col(Adapter.training_id) == col(Training.id))
        .where(col(Adapter.version) != col(Training.adapter_version)),
        "is another version than its training {0} made",
    )
