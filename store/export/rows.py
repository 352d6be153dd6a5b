"""Rows of an export, read a few dialogues at a time, so that memory stays small in long runs."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

from ...core.errors import StoreError
from ...core.records import Split, TurnKind
from ..conversations import ConversationReader, DialogueLine
from ..reading import Messages, Reader
from ..search.filters import DialogueFilter
from ..tables.training import Training, TrainingItem, left_out_items
from ..tables.transcript import Preference, Run, RunExample, Turn
from .forms import COLUMNS, ExportForm, ExportRow
from .transcript import as_text, transcript_rows

_DIALOGUES = 100
"""Read at once."""


def export_rows(
    reader: ConversationReader,
    run: Run,
    form: ExportForm,
    *,
    wanted: DialogueFilter | None = None,
    splits: Collection[Split] = tuple(Split),
    trained: bool = False,
) -> Iterator[ExportRow]:
    """What the dialogues of a run come to, in the order they were begun.

    `preference` and `kto` rows are of the preferences the dialogues made. `sft` rows are of the teacher's
    demonstrations, and of texts that were preferred to others, each once. In all three `learned_by` is the first
    version of the run's adapter that learned from it, where one did.

    Args:
        reader: The store.
        run: Whose dialogues.
        form: Which rows.
        wanted: Only of dialogues that are like this.
        splits: Only of inputs that play these parts in the run.
        trained: Only what the run's adapters learned from; transcripts have no such rows to leave out.

    Raises:
        StoreError: The store does not say how the student is asked, which all forms but `transcript` need.
    """
    origin = reader.campaign_of(run).id
    told: set[str] = set()
    learned = _Learned(reader, run)
    for lines in _pages(reader, run, wanted):
        parts = {
            row.example_id: row
            for row in reader.select(
                RunExample, run_id=origin, example_id=list({line.dialogue.example_id for line in lines})
            )
            if row.split in splits
        }
        inside = [line for line in lines if line.dialogue.example_id in parts]
        if form == "transcript":
            found = transcript_rows(reader, inside)
        elif form == "sft":
            found = _texts(reader, inside, told, learned)
        else:
            found = _preferences(reader, inside, form, learned)
        for row in found:
            if trained and form != "transcript" and row["learned_by"] is None:
                continue
            used = parts[row["example_id"]]
            row |= {"split": used.split.value, "input_id": used.own_id, "metadata": as_text(used.details)}
            yield {column.name: row.get(column.name) for column in COLUMNS[form]}


def _pages(reader: ConversationReader, run: Run, wanted: DialogueFilter | None) -> Iterator[list[DialogueLine]]:
    last: str | None = None
    while lines := reader.dialogues(run.id, wanted, limit=_DIALOGUES, after=last):
        yield lines
        last = lines[-1].dialogue.id


class _Learned:
    """Which of a run's adapters learned from what first."""

    def __init__(self, reader: Reader, run: Run) -> None:
        self._reader, self._run = reader, run
        self._trainings = {row.id: row for row in reader.select(Training, run_id=run.id)}
        self._left_out = {name for row in self._trainings.values() for name in left_out_items(row)}

    def by(self, source: Literal["preference_id", "turn_id"], ids: Collection[str]) -> dict[str, int]:
        """The versions, by the ids of preferences or turns."""
        versions: dict[str, int] = {}
        wanted: dict[str, Any] = {source: list(ids)}
        for item in self._reader.select(TrainingItem, run_id=self._run.id, **wanted):
            if item.id not in self._left_out:
                name, version = getattr(item, source), self._trainings[item.training_id].adapter_version
                versions[name] = min(version, versions.get(name, version))
        return versions


def _preferences(
    reader: ConversationReader, lines: Sequence[DialogueLine], form: ExportForm, learned: _Learned
) -> Iterator[ExportRow]:
    prompts = _prompts(reader, lines)
    for line, rows in _preferences_by_line(reader, lines):
        turns = _turns(reader, rows)
        learned_by = learned.by("preference_id", [row.id for row in rows])
        prompt = prompts[line.dialogue.id]
        for row in rows:
            chosen, rejected = turns[row.chosen_turn_id], turns[row.rejected_turn_id]
            about: ExportRow = {
                "prompt": prompt,
                "input": line.example_text,
                "preference_id": row.id,
                "learned_by": learned_by.get(row.id),
                **_columns_of(row),
            }
            if form == "preference":
                yield about | {
                    "chosen": _said(chosen.content),
                    "rejected": _said(rejected.content),
                    "chosen_by": chosen.agent.value,
                    "rejected_by": rejected.agent.value,
                    "chosen_adapter": chosen.adapter_version,
                    "rejected_adapter": rejected.adapter_version,
                }
            else:
                for turn in (chosen, rejected):
                    yield about | {"completion": _said(turn.content), "label": turn is chosen, **_spoken(turn)}


def _texts(
    reader: ConversationReader, lines: Sequence[DialogueLine], told: set[str], learned: _Learned
) -> Iterator[ExportRow]:
    prompts = _prompts(reader, lines)
    demonstrated: dict[str, list[Turn]] = {}
    for turn in reader.select(
        Turn,
        dialogue_id=[line.dialogue.id for line in lines],
        kind=TurnKind.DEMONSTRATION,
        note=None,
        order_by="seq",
    ):
        demonstrated.setdefault(turn.dialogue_id, []).append(turn)
    for line, rows in _preferences_by_line(reader, lines):
        turns = _turns(reader, rows)
        prompt = prompts[line.dialogue.id]
        preferred = [turns[row.chosen_turn_id] for row in rows]
        texts = {turn.id: turn for turn in (*demonstrated.get(line.dialogue.id, []), *preferred)}
        learned_by = learned.by("turn_id", texts)
        versions = learned.by("preference_id", [row.id for row in rows])
        for row in rows:
            if row.id in versions:
                name, version = row.chosen_turn_id, versions[row.id]
                learned_by[name] = min(version, learned_by.get(name, version))
        for turn in texts.values():
            if turn.id in told:
                continue
            # What belongs to this dialogue alone cannot come up again.
            if turn.kind is TurnKind.DEMONSTRATION or turn.dialogue_id != line.dialogue.id:
                told.add(turn.id)
            yield {
                "messages": [*prompt, *_said(turn.content)],
                "input": line.example_text,
                "example_id": line.dialogue.example_id,
                "run_id": line.dialogue.run_id,
                "dialogue_id": line.dialogue.id,
                "round": line.dialogue.round,
                "learned_by": learned_by.get(turn.id),
                **_spoken(turn),
            }


def _prompts(reader: ConversationReader, lines: Sequence[DialogueLine]) -> dict[str, Messages]:
    """What the student is asked, by dialogue."""
    unknown = [line.dialogue.id for line in lines if line.dialogue.prompt_hash is None]
    if unknown:
        raise StoreError(
            f"the store {reader.url!r} does not say what the student is asked in dialogue {unknown[0]}: "
            "`--format transcript` needs no prompt of the student's"
        )
    known = reader.prompts(line.dialogue.prompt_hash for line in lines)
    return {line.dialogue.id: known[line.dialogue.prompt_hash or ""] for line in lines}


def _preferences_by_line(
    reader: ConversationReader, lines: Sequence[DialogueLine]
) -> Iterator[tuple[DialogueLine, list[Preference]]]:
    found: dict[str, list[Preference]] = {line.dialogue.id: [] for line in lines}
    for row in reader.select(Preference, dialogue_id=list(found), order_by="created_at"):
        found[row.dialogue_id].append(row)
    return ((line, found[line.dialogue.id]) for line in lines)


def _turns(reader: ConversationReader, rows: Sequence[Preference]) -> dict[str, Turn]:
    ids = {turn for row in rows for turn in (row.chosen_turn_id, row.rejected_turn_id)}
    return {turn.id: turn for turn in reader.select(Turn, id=list(ids))}


def _columns_of(row: Preference) -> dict[str, Any]:
    return row.model_dump(mode="json", exclude={"id", "created_at"})


def _said(text: str) -> Messages:
    """An answer, as messages."""
    return [{"role": "assistant", "content": text}]


def _spoken(turn: Turn) -> dict[str, Any]:
    return {
        "turn_id": turn.id,
        "agent": turn.agent.value,
        "kind": turn.kind.value,
        "adapter_version": turn.adapter_version,
    }
