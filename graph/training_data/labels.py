"""Negative controls: preferences whose labels say nothing. What is learned from them was not the critic's doing.

Which labels are changed follows from the seed and the texts alone, so it is the same whichever run asks.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from ...core.ids import derive_seed
from ...store import Preference, Turn

Labels = Literal["critic", "shuffled", "random"]


def relabelled(
    preferences: Sequence[Preference], turns: Mapping[str, Turn], labels: Labels, seed: int
) -> list[Preference]:
    """The preferences in their order, with the labels that are to be learned.

    A label is whether the later of two texts is the better one. `shuffled` deals the labels there are out anew among
    all preferences, so that as many as before say so; `random` throws a coin for each.

    Args:
        preferences: Of ended dialogues. Their rows in the store stay as they are.
        turns: The turns that they name, by id.
        labels: `critic` leaves all of them as they are.
        seed: Settles the coins, and who gets which label.
    """
    if labels == "critic":
        return list(preferences)
    if labels == "random":
        return [_turned(row, turns, later=_draw(row, turns, seed, "coin") % 2 == 1) for row in preferences]
    order = sorted(range(len(preferences)), key=lambda place: _draw(preferences[place], turns, seed, "from"))
    taken = sorted(range(len(preferences)), key=lambda place: _draw(preferences[place], turns, seed, "to"))
    dealt = {to: _later(preferences[source], turns) for source, to in zip(order, taken, strict=True)}
    return [_turned(row, turns, later=dealt[place]) for place, row in enumerate(preferences)]


def _later(row: Preference, turns: Mapping[str, Turn]) -> bool:
    return turns[row.chosen_turn_id].seq > turns[row.rejected_turn_id].seq


def _draw(row: Preference, turns: Mapping[str, Turn], seed: int, purpose: str) -> int:
    texts = sorted((turns[row.chosen_turn_id].content_hash, turns[row.rejected_turn_id].content_hash))
    return derive_seed(seed, "labels", purpose, row.round, row.example_id, *texts)


def _turned(row: Preference, turns: Mapping[str, Turn], *, later: bool) -> Preference:
    if _later(row, turns) is later:
        return row
    values = row.model_dump() | {"chosen_turn_id": row.rejected_turn_id, "rejected_turn_id": row.chosen_turn_id}
    return Preference(**values)
