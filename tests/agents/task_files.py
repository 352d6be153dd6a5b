"""Task files made from those that ship, with changes."""

from pathlib import Path
from typing import Any

import yaml

from openmic.agents.tasks.task_file import task_source

HUMOR: dict[str, Any] = yaml.safe_load(task_source("humor").text)


def write_task(folder: Path, **changes: Any) -> Path:
    """Writes the task `humor`, with changes such as `teacher={"demonstrate": "…"}`; None takes a key away."""
    content: dict[str, Any] = dict(HUMOR)
    for name, change in changes.items():
        content[name] = {**HUMOR[name], **change} if isinstance(change, dict) and name in HUMOR else change
    kept = {name: value for name, value in content.items() if value is not None}
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8")
    return path
