"""The engine of a run's students where it is one of the user's own."""

import inspect
import sys
from dataclasses import dataclass
from typing import Any

from ...core.errors import ConfigError
from ...core.student_settings import StudentSettings
from ...training.engines.choose import KEY, as_engine_factory
from ...training.engines.engine import EngineFactory, StudentEngine
from .plugs import Plugs


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
        _pickled(factory, settings.engine)
    return factory


def engine_to_send(plugs: Plugs, settings: StudentSettings) -> EngineFactory | None:
    """What students' processes are given of it: what was given in Python; what can be named they import themselves."""
    factory = None if plugs.given(KEY) is None else engine_of(plugs, settings)
    return None if factory is None else SentEngine(_pickled(factory, settings.engine))


def _pickled(factory: EngineFactory, name: str) -> bytes:
    """The factory with what it takes from its own package, which may lie where no other process looks."""
    from ray import cloudpickle

    package = sys.modules.get((getattr(factory, "__module__", None) or type(factory).__module__).partition(".")[0])
    own = package is not None and not _is_installed(package)
    if own:
        cloudpickle.register_pickle_by_value(package)  # type: ignore[no-untyped-call]  # as below
    try:
        pickled: bytes = cloudpickle.dumps(factory)  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    except Exception as error:  # what stands in the way is anybody's
        raise ConfigError(
            f"{KEY}: {name} cannot be sent to the students' processes ({type(error).__name__}: {error}); have it make "
            "what cannot be pickled when it is called, or put it into a module and name it as module:attribute"
        ) from error
    finally:
        if own:
            cloudpickle.unregister_pickle_by_value(package)  # type: ignore[no-untyped-call]  # as above
    return pickled


def _is_installed(package: Any) -> bool:
    """Whether every process finds it: openmic itself, the script, a builtin, and what was installed."""
    if package.__name__ in {"__main__", "openmic", "builtins"} or package.__name__ in sys.stdlib_module_names:
        return True
    try:
        file = inspect.getfile(package)
    except TypeError:
        file = next(iter(getattr(package, "__path__", [])), "")
    return "site-packages" in file or "dist-packages" in file
