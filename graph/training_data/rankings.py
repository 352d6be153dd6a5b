"""Preferences between the texts of one dialogue as rankings: the draft beats another, the revision beats both."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from ...store import Preference


@dataclass(frozen=True, slots=True)
class Ranking:
    """Turns of one dialogue, the best first, and the preferences that say so."""

    turns: tuple[str, ...]
    preferences: tuple[Preference, ...]


def rankings(preferences: Sequence[Preference]) -> list[Ranking]:
    """As few rankings as hold all preferences, dialogue by dialogue in the order given.

    Neighbours in a ranking were always compared; what follows by transitivity alone is not asserted. Preferences that
    contradict each other in a circle stay pairs.
    """
    by_dialogue: dict[str, list[Preference]] = defaultdict(list)
    for preference in preferences:
        by_dialogue[preference.dialogue_id].append(preference)
    return [ranking for group in by_dialogue.values() for ranking in _of_one_dialogue(group)]


def _of_one_dialogue(preferences: list[Preference]) -> list[Ranking]:
    found, left = [], preferences
    while left:
        chain = _longest_chain(left)
        place = {turn: rank for rank, turn in enumerate(chain)}
        held = [p for p in left if p.chosen_turn_id in place and p.rejected_turn_id in place]
        found.append(Ranking(tuple(chain), tuple(held)))
        left = [p for p in left if p not in held]
    return found


def _longest_chain(preferences: list[Preference]) -> list[str]:
    """The longest run of turns each of which was preferred over the next; of equally long ones the first found."""
    worse: dict[str, list[str]] = defaultdict(list)
    for preference in preferences:
        worse[preference.chosen_turn_id].append(preference.rejected_turn_id)
    try:
        order = list(TopologicalSorter(worse).static_order())  # the worst first
    except CycleError:
        return [preferences[0].chosen_turn_id, preferences[0].rejected_turn_id]
    chains: dict[str, list[str]] = {}
    for turn in order:
        following = max((chains[other] for other in worse.get(turn, [])), key=len, default=[])
        chains[turn] = [turn, *following]
    return max(chains.values(), key=len)
