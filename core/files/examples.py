"""The examples that ship: configurations that run as they are, with their inputs."""

import difflib
from importlib.resources import files
from pathlib import Path

from ..errors import ConfigError

_FOLDER = Path(str(files("openmic"))) / "examples"


def example_names() -> list[str]:
    """What `openmic run --example` takes, in order. Experiments, which have arms, are for `openmic experiment`."""
    files_there = ((path.stem, path.read_text(encoding="utf-8")) for path in _FOLDER.glob("*.yaml"))
    return sorted(name for name, text in files_there if "\narms:" not in text)


def example_file(name: str) -> Path:
    """The configuration file of an example; what it names lies beside it.

    Raises:
        ConfigError: there is no such example.
    """
    if name not in example_names():
        close = difflib.get_close_matches(name, example_names(), n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise ConfigError(f"there is no example {name!r}, only {', '.join(example_names())}{meant}")
    return _FOLDER / f"{name}.yaml"
