"""A small tournament: the best and the worst of several drafts, by as few comparisons as that takes.

A knock-out finds the best; those who lost in its first round, and who sat it out, play for the worst. For k drafts that
is about 3k/2 comparisons where comparing all with all would be k(k-1)/2. What follows from it is checked by the
dialogue itself: best and worst are compared in the end, unless they have met.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

Match = tuple[T, T]
Play = Callable[[Sequence[Match[T]]], Awaitable[Sequence[bool]]]
"""Plays the matches of one round; says of each whether its first side won. A tie goes to the side it names."""


async def best_and_worst(contenders: Sequence[T], play: Play[T]) -> tuple[T, T]:
    """The winner and the loser of the tournament. Needs at least two contenders; their order decides who meets whom."""
    assert len(contenders) >= 2
    winners, losers = await _round(contenders, play)
    while len(winners) > 1:
        winners, _ = await _round(winners, play)
    while len(losers) > 1:
        _, losers = await _round(losers, play)
    return winners[0], losers[0]


async def best_of(contenders: Sequence[T], play: Play[T]) -> T:
    """The winner of a knock-out, by one comparison less than there are contenders, of whom there is at least one."""
    standing = list(contenders)
    while len(standing) > 1:
        standing, _ = await _round(standing, play)
    return standing[0]


async def _round(contenders: Sequence[T], play: Play[T]) -> tuple[list[T], list[T]]:
    """Who goes on as winner and who as loser; who has no opponent goes on as both."""
    matches = list(zip(contenders[::2], contenders[1::2], strict=False))
    results = await play(matches)
    winners = [first if won else second for (first, second), won in zip(matches, results, strict=True)]
    losers = [second if won else first for (first, second), won in zip(matches, results, strict=True)]
    resting = list(contenders[len(matches) * 2 :])
    return winners + resting, losers + resting
