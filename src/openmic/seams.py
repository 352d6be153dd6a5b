"""Protocols of a teacher and a critic in Python; scorers, objectives, engines and tasks have files of their own.

Methods may be asynchronous. One that has a parameter `overused` is given the endings that are no longer to be rewarded.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from .core.records import Input


class Teacher(Protocol):
    """Whoever demonstrates. A plain function `(input, count) -> outputs` is one too."""

    def demonstrate(self, source: Input, count: int, /) -> str | Sequence[str] | Awaitable[str | Sequence[str]]:
        """Up to `count` different outputs for an input; none where there is none to be had."""
        ...


class Critic(Protocol):
    """Whoever compares, as critic, juror or judge. A scorer is one too.

    With a method `criticise(input, text)` that returns a text, or a mapping with works, missing and suggestion, the
    student revises its drafts; without one dialogues have no revisions.
    """

    def compare(self, source: Input, first: str, second: str, /) -> float | bool | str | Awaitable[float | bool | str]:
        """p(first is better) in [0, 1], whether it is, or "first", "second" or "tie". Asked in both orders."""
        ...
