"""Conformance suites for parts of one's own, to be run in one's own tests.

`check_task` and `check_scorer` are functions that raise an `AssertionError` with what went wrong, or one of openmic's
own errors. `EngineConformance` is a class of pytest tests to inherit from.
"""

from typing import TYPE_CHECKING, Any

from .agents.tasks.conformance import check_task
from .evaluation.conformance import check_scorer

if TYPE_CHECKING:  # it alone needs pytest, which nobody has to have who checks a scorer
    from .training.engines.conformance import EngineConformance

__all__ = ["EngineConformance", "check_scorer", "check_task"]
_ENGINES = "openmic.training.engines.conformance"


def __getattr__(name: str) -> Any:
    if name != "EngineConformance":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    import sys
    from importlib import import_module

    if _ENGINES not in sys.modules:
        import pytest

        pytest.register_assert_rewrite(_ENGINES)  # so that a test that fails shows what it compared
    return import_module(_ENGINES).EngineConformance
