"""Reproducible chance: every draw is a hash of its purpose, the same in any order, process and machine.

Not for anything that must be hard to guess.
"""

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def uniform(*parts: str | int) -> float:
    """A number in [0, 1) that depends on every part and on nothing else."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def happens(rate: float, *parts: str | int) -> bool:
    """Whether something that happens at this rate (0: never, 1: always) happens this time."""
    return uniform(*parts) < rate


def choose(options: Sequence[T], *parts: str | int) -> T:
    """One of the options, each as likely as the others.

    Raises:
        IndexError: There is nothing to choose from.
    """
    return options[int(uniform(*parts) * len(options))]


def normal(*parts: str | int) -> float:
    """A draw from the standard normal distribution (Box and Muller)."""
    radius = math.sqrt(-2 * math.log(1 - uniform("radius", *parts)))
    return radius * math.cos(2 * math.pi * uniform("angle", *parts))
