"""The engine of a run's students where it is one of the user's own."""

from ...core.config import StudentSettings
from ...core.errors import ConfigError
from ...training.engines.choose import KEY, as_engine_factory
from ...training.engines.engine import EngineFactory
from .plugs import Plugs


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
        _try_to_send(factory, settings.engine)
    return factory


def engine_to_send(plugs: Plugs, settings: StudentSettings) -> EngineFactory | None:
    """What students' processes are given of it: what was given in Python; what can be named they import themselves."""
    return None if plugs.given(KEY) is None else engine_of(plugs, settings)


def _try_to_send(factory: EngineFactory, name: str) -> None:
    from ray import cloudpickle

    try:
        cloudpickle.dumps(factory)  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    except Exception as error:  # what stands in the way is anybody's
        raise ConfigError(
            f"{KEY}: {name} cannot be sent to the students' processes ({type(error).__name__}: {error}); have it make "
            "what cannot be pickled when it is called, or put it into a module and name it as module:attribute"
        ) from error
