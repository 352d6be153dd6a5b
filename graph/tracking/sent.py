"""What a run's trackers have of it, noted beside the run."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...store import Run
from ...store.liveness import run_folder
from ...store.reading import Reader

NOTES = "tracking.json"


@dataclass
class Sent:
    """What one tracker has of a run."""

    id: str | None = None
    """What the tracker calls the run."""
    where: str | None = None
    """Where a person finds it."""
    places: dict[str, int] = field(default_factory=dict)
    """By what it is of, the highest place that was sent."""
    figures: int = 0
    """Lines of numbers, tables and adapters it took."""
    failures: int = 0
    """Attempts that failed."""
    error: str | None = None
    """Why the last one did, where nothing got through since."""


def sent_of(folder: Path) -> dict[str, Sent]:
    """What a run's trackers have of it, by their name; nothing where it has none."""
    try:
        noted = json.loads((folder / NOTES).read_text(encoding="utf-8"))
        return {name: Sent(**one) for name, one in noted.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there, or damaged: all of it is sent again
        return {}


def note(folder: Path, sent: dict[str, Sent]) -> None:
    """Have `sent_of` give this from now on."""
    new = folder / f"{NOTES}.new"
    new.write_text(json.dumps({name: asdict(one) for name, one in sent.items()}), encoding="utf-8")
    new.replace(folder / NOTES)


def trackers(store: Reader, run: Run) -> dict[str, dict[str, Any]]:
    """What each tracker has of a run, ready for JSON: `where`, `figures`, `failures` and `error`."""
    configured = run.config.get("tracking", {}).get("report_to", ())
    found = {name: Sent() for name in configured} | sent_of(run_folder(store, run))
    wanted = ("where", "figures", "failures", "error")
    return {name: {key: getattr(sent, key) for key in wanted} for name, sent in found.items()}
