"""The forms an export can have: which columns its rows hold, and of what kind each is.

Preferences, texts and unpaired labels are in TRL's conversational form; a transcript has one row for each turn.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

ExportForm = Literal["preference", "sft", "kto", "transcript"]
FORMS: tuple[ExportForm, ...] = get_args(ExportForm)

ColumnKind = Literal["text", "integer", "number", "boolean", "messages", "json"]
"""`messages` are a list of {role, content}; `json` is any value, written as text so that all rows have one schema."""

ExportRow = dict[str, Any]
"""A value for each column of a form, None where there is none; `json` is text already."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    kind: ColumnKind


def _columns(**kinds: str) -> tuple[Column, ...]:
    """Columns by their kind, the names of each divided by spaces."""
    return tuple(Column(name, kind) for kind, names in kinds.items() for name in names.split())  # type: ignore[arg-type]  # the keywords are the kinds


COLUMNS: dict[ExportForm, tuple[Column, ...]] = {
    "preference": _columns(
        messages="prompt chosen rejected",
        text="input input_id example_id split run_id dialogue_id preference_id verdict_id source chosen_turn_id "
        "rejected_turn_id chosen_by rejected_by",
        integer="round chosen_adapter rejected_adapter learned_by",
        number="margin length_ratio",
        json="metadata",
    ),
    "sft": _columns(
        messages="messages",
        text="input input_id example_id split run_id dialogue_id turn_id agent kind",
        integer="round adapter_version learned_by",
        json="metadata",
    ),
    "kto": _columns(
        messages="prompt completion",
        boolean="label",
        text="input input_id example_id split run_id dialogue_id preference_id turn_id agent source",
        integer="round adapter_version learned_by",
        number="margin",
        json="metadata",
    ),
    "transcript": _columns(
        text="run_id dialogue_id stage status stop_reason error example_id input_id split input turn_id parent_turn_id "
        "agent kind content note template template_hash prompt_hash request_key model model_resolved finish_reason "
        "worker created_at critique_of works missing suggestion verdict_id first_turn_id second_turn_id outcome",
        integer="round seq template_version adapter_version seed input_tokens cached_tokens output_tokens "
        "reasoning_tokens retries member",
        number="queue_ms latency_ms ballot_p_first p_forward p_reverse p_first",
        boolean="final critique_parsed forward consistent",
        json="sampling messages raw tags metadata",
    ),
}
"""What each form's rows hold."""
