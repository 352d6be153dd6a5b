"""Objects that were given in Python, on their way to processes that may not find the modules they are of."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Sent:
    """An object by its value: whoever unpickles this has the object itself."""

    pickled: bytes

    def __reduce__(self) -> tuple[Callable[[bytes], Any], tuple[bytes]]:
        from ray import cloudpickle

        return cloudpickle.loads, (self.pickled,)


def pickled(found: Any, key: str, name: str, whose: str) -> bytes:
    """An object with what it takes from its own package, which may lie where no other process looks.

    Args:
        found: The object.
        key: The configuration's key, for the error.
        name: What it is called there.
        whose: Where it is sent, as in "the trainer's process".

    Raises:
        ConfigError: it cannot be pickled.
    """
    from ray import cloudpickle

    package = sys.modules.get((getattr(found, "__module__", None) or type(found).__module__).partition(".")[0])
    own = package is not None and not _is_installed(package)
    if own:
        cloudpickle.register_pickle_by_value(package)  # type: ignore[no-untyped-call]  # as below
    try:
        made: bytes = cloudpickle.dumps(found)  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    except Exception as error:  # what stands in the way is anybody's
        raise ConfigError(
            f"{key}: {name} cannot be sent to {whose} ({type(error).__name__}: {error}); have it make what cannot be "
            "pickled when it is called, or put it into a module and name it as module:attribute"
        ) from error
    finally:
        if own:
            cloudpickle.unregister_pickle_by_value(package)  # type: ignore[no-untyped-call]  # as above
    return made


def _is_installed(package: Any) -> bool:
    """Whether every process finds it: openmic itself, the script, a builtin, and what was installed."""
    if package.__name__ in {"__main__", "openmic", "builtins"} or package.__name__ in sys.stdlib_module_names:
        return True
    try:
        file = inspect.getfile(package)
    except TypeError:
        file = next(iter(getattr(package, "__path__", [])), "")
    return "site-packages" in file or "dist-packages" in file
