import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.graph.rollout.tournament import best_and_worst


class Arena:
    """Compares numbers, and remembers the rounds."""

    def __init__(self) -> None:
        self.rounds: list[list[tuple[int, int]]] = []

    async def play(self, matches: Sequence[tuple[int, int]]) -> list[bool]:
        self.rounds.append(list(matches))
        return [first > second for first, second in matches]

    @property
    def matches(self) -> int:
        return sum(len(matches) for matches in self.rounds)


@given(st.lists(st.integers(), min_size=2, max_size=16, unique=True))
def test_the_best_and_the_worst_are_found(contenders: list[int]) -> None:
    arena = Arena()
    assert asyncio.run(best_and_worst(contenders, arena.play)) == (max(contenders), min(contenders))
    assert arena.matches <= -(-3 * len(contenders) // 2)


@pytest.mark.parametrize(("count", "matches"), [(2, 1), (3, 3), (4, 4), (6, 7), (8, 10)])
def test_it_takes_few_comparisons(count: int, matches: int) -> None:
    arena = Arena()
    asyncio.run(best_and_worst(range(count), arena.play))
    assert arena.matches == matches


def test_the_matches_of_a_round_are_played_together() -> None:
    arena = Arena()
    asyncio.run(best_and_worst([4, 3, 2, 1], arena.play))
    assert arena.rounds == [[(4, 3), (2, 1)], [(4, 2)], [(3, 1)]]
