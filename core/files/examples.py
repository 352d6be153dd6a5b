"""The examples that ship: configurations that run as they are, with their inputs.

One in a folder of its own has its task, its demonstrations and its scorer beside it: all that a project has.
"""

import difflib
from importlib.resources import files
from pathlib import Path

from ..errors import ConfigError

_FOLDER = Path(str(files("openmic"))) / "examples"
CONFIGURATION = "openmic.yaml"
"""What the configuration is called in a folder that holds one."""


def example_names(*, experiments: bool = False) -> list[str]:
    """What `openmic run --example` takes, in order; or `openmic experiment --example`: those that have arms."""
    files_there = ((path.stem, path.read_text(encoding="utf-8")) for path in _FOLDER.glob("*.yaml"))
    own = [] if experiments else project_names()
    return sorted([*own, *(name for name, text in files_there if ("\narms:" in text) is experiments)])


def project_names() -> list[str]:
    """The examples in folders of their own, in order."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{CONFIGURATION}"))


def example_file(name: str, *, experiments: bool = False) -> Path:
    """The file of an example; what it names lies beside it.

    Raises:
        ConfigError: there is no such example, or it is of the other kind.
    """
    known = example_names(experiments=experiments)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        if name in example_names(experiments=not experiments):
            meant = f"; it is one for `openmic {'run' if experiments else 'experiment'} --example {name}`"
        what = "example of an experiment" if experiments else "example"
        raise ConfigError(f"there is no {what} {name!r}, only {', '.join(known)}{meant}")
    return _FOLDER / name / CONFIGURATION if name in project_names() else _FOLDER / f"{name}.yaml"
