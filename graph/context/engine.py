"""The engine of a run's students where it is one of the user's own."""

from dataclasses import dataclass
from typing import Any

from ...core.student_settings import StudentSettings
from ...training.engines.choose import KEY, as_engine_factory
from ...training.engines.engine import EngineFactory, StudentEngine
from .plugs import Plugs
from .sending import pickled

_THERE = "the students' processes"


@dataclass(frozen=True)
class SentEngine:
    """A factory by its value, for processes that cannot import it."""

    pickled: bytes

    def __call__(self, settings: StudentSettings, **named: Any) -> StudentEngine:
        """What the factory makes."""
        from ray import cloudpickle

        made: StudentEngine = cloudpickle.loads(self.pickled)(settings, **named)
        return made


def engine_of(plugs: Plugs, settings: StudentSettings) -> EngineFactory | None:
    """What makes the engine; None where the settings name one that ships.

    Raises:
        ConfigError: it cannot be had, makes no engine, or cannot be sent to another process.
    """
    if settings.own_engine is None:
        return None
    factory = as_engine_factory(plugs.load(KEY, settings.own_engine, make=False), settings)
    plugs.note(KEY, kwargs=dict(settings.engine_kwargs))
    if plugs.given(KEY) is not None:
        pickled(factory, KEY, settings.engine, _THERE)
    return factory


def engine_to_send(plugs: Plugs, settings: StudentSettings) -> EngineFactory | None:
    """What students' processes are given of it: what was given in Python; what can be named they import themselves."""
    factory = None if plugs.given(KEY) is None else engine_of(plugs, settings)
    return None if factory is None else SentEngine(pickled(factory, KEY, settings.engine, _THERE))
