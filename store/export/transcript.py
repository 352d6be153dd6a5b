"""Full transcripts: a row for each turn, with all that is known of it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..conversations import ConversationReader, DialogueLine
from ..tables.transcript import BallotRow, CritiqueRow, LLMCall, PromptTemplateRow, Turn, VerdictRow
from ..tags import tags_of
from .forms import COLUMNS, ExportRow

_OWN = [column.name for column in COLUMNS["transcript"] if column.name in Turn.model_fields]
_ABOUT_VERDICT = ("first_turn_id", "second_turn_id", "outcome", "consistent", "p_forward", "p_reverse", "p_first")


def transcript_rows(reader: ConversationReader, lines: Sequence[DialogueLine]) -> Iterator[ExportRow]:
    """A row for each turn of the dialogues, in the order they were said."""
    by_id = {line.dialogue.id: line for line in lines}
    turns = reader.select(Turn, dialogue_id=list(by_id), order_by="seq")
    said: dict[str, list[Turn]] = {identity: [] for identity in by_id}
    for turn in turns:
        said[turn.dialogue_id].append(turn)
    beside = _Beside(reader, turns)
    tags = tags_of(reader, list(by_id))
    for identity, line in by_id.items():
        dialogue = line.dialogue
        about: ExportRow = {
            **dialogue.model_dump(mode="json", include={"stage", "round", "status", "stop_reason", "error"}),
            "example_id": dialogue.example_id,
            "input": line.example_text,
            "tags": as_text(tags.get(identity, [])),
        }
        for turn in said[identity]:
            values = turn.model_dump(mode="json", include=set(_OWN))
            values["sampling"] = as_text(values["sampling"])
            yield {**about, **values, "final": turn.id == dialogue.final_turn_id, **beside.of(turn)}


def as_text(value: Any) -> str:
    """Any value as JSON."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


class _Beside:
    """What other tables say of some turns."""

    def __init__(self, reader: ConversationReader, turns: Sequence[Turn]) -> None:
        ids = [turn.id for turn in turns]
        self._critiques = {row.turn_id: row for row in reader.select(CritiqueRow, turn_id=ids)}
        self._ballots = {row.turn_id: row for row in reader.select(BallotRow, turn_id=ids)}
        verdicts = reader.select(VerdictRow, dialogue_id=list({turn.dialogue_id for turn in turns}))
        self._verdicts = {row.id: row for row in verdicts}
        self._templates = {
            row.hash: row
            for row in reader.select(PromptTemplateRow, hash=list({t.template_hash for t in turns if t.template_hash}))
        }
        self._prompts = reader.prompts(turn.prompt_hash for turn in turns)
        self._raw = _raw_replies(reader, turns)

    def of(self, turn: Turn) -> ExportRow:
        """Columns for a turn; those that are not there are empty."""
        template = self._templates.get(turn.template_hash or "")
        found: ExportRow = {
            "template": None if template is None else f"{template.role}.{template.purpose}",
            "template_version": None if template is None else int(template.version),
            "messages": None if turn.prompt_hash is None else as_text(self._prompts[turn.prompt_hash]),
            "raw": as_text(self._raw.get((turn.run_id, turn.request_key or ""), turn.raw)),
        }
        critique = self._critiques.get(turn.id)
        if critique is not None:
            found |= critique.model_dump(include={"works", "missing", "suggestion"})
            found |= {"critique_of": critique.target_turn_id, "critique_parsed": critique.parse_ok}
        return found | self._part_of(turn)

    def _part_of(self, turn: Turn) -> ExportRow:
        ballot = self._ballots.get(turn.id)
        if ballot is None:
            return {}
        verdict = self._verdicts[ballot.verdict_id]
        return {
            "verdict_id": verdict.id,
            **verdict.model_dump(include=set(_ABOUT_VERDICT)),
            **ballot.model_dump(include={"forward", "member"}),
            "ballot_p_first": ballot.p_first,
        }


def _raw_replies(reader: ConversationReader, turns: Sequence[Turn]) -> dict[tuple[str, str], dict[str, Any]]:
    """The bodies of large models' replies as they were received, by run and request key."""
    found = {}
    for run_id in {turn.run_id for turn in turns}:
        keys = {turn.request_key for turn in turns if turn.run_id == run_id and turn.request_key}
        for call in reader.select(LLMCall, run_id=run_id, key=list(keys)):
            found[run_id, call.key] = call.reply["raw"]
    return found
