"""Conformance suites for parts of one's own, to be run in one's own tests.

Each is a function that raises an `AssertionError` with what went wrong, or one of openmic's own errors.
"""

from .agents.tasks.conformance import check_task
from .evaluation.conformance import check_scorer

__all__ = ["check_scorer", "check_task"]
