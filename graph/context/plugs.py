"""The Python objects of one run: given by whoever started it, or imported by what the configuration names.

Each is known by the configuration's key that it stands for, such as `cast.critic`, and is recorded with the run.
"""

from collections.abc import Mapping
from typing import Any, Self

from ...agents.tasks.task import Task, load_task
from ...core.errors import ConfigError
from ...core.plugs import Plug, describe_object, describe_plug, import_plug, load_plug, look_in
from ...store import Run

_AGAIN = "give it again in Python, by its argument or its key, as in openmic.open_run(…).resume(critic=…)"


class Plugs:
    """Loads each object once, and remembers what to record of it."""

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        """Objects that were given in Python, by their configuration key."""
        self._given = dict(given or {})
        self._recorded: dict[str, Mapping[str, Any]] = {}
        self._loaded: dict[str, Any] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._task: Mapping[str, Any] = {}

    def load(self, key: str, plug: Plug, shipped: Mapping[str, str] | None = None, *, make: bool = True) -> Any:
        """The object behind a configuration key; with `make=False` the class or function itself that makes it.

        Raises:
            ConfigError: it was not given, and cannot be imported or made.
        """
        if key not in self._loaded:
            if key in self._given:
                self._loaded[key] = self._given[key]
                self._records[key] = describe_object(self._given[key])
            elif not self._recorded.get(key, {}).get("importable", True):
                raise ConfigError(
                    f"the run was given a Python object that cannot be imported again: {key} ({plug.use}); {_AGAIN}"
                )
            else:
                self._loaded[key] = (load_plug if make else import_plug)(plug, where=key, shipped=shipped)
                self._records[key] = describe_plug(plug, shipped)
        return self._loaded[key]

    def recall(self, run: Run, kept: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Know what a stored run was begun with: its task, and its objects.

        What cannot be imported again is refused and never made anew. Modules are looked for where they were found.

        Args:
            run: The run.
            kept: Those of its objects that still stand, by key. None: all.
        """
        look_in(*run.folders)
        self._recorded, self._task = dict(run.plugs if kept is None else kept), run.task_file
        return self

    @property
    def all_given(self) -> Mapping[str, Any]:
        """The objects that were given in Python, by key."""
        return self._given

    def given(self, key: str) -> Any:
        """The object that was given in Python for a key; None where none was."""
        return self._given.get(key)

    def note(self, key: str, **facts: Any) -> None:
        """Record more of an object that was loaded; ready for JSON."""
        self._records[key] |= facts

    def task(self, name: str) -> Task:
        """The task that was given, the one that the recalled run has, or the one that the configuration names.

        Raises:
            TaskError: as `load_task`.
        """
        given = self._given.get("task")
        if given is None:
            functions = {key: record for key, record in self._recorded.items() if key.startswith("task.")}
            lost = [key for key, record in functions.items() if not record.get("importable", True)]
            if not self._task and not self._recorded.get("task", {}).get("importable", True):
                lost.append("task")
            if lost:
                raise ConfigError(
                    f"the run was given a Python object that cannot be imported again: {', '.join(lost)}; "
                    + _AGAIN.replace("critic", "task")
                )
            return Task.from_stored(self._task, name) if self._task else load_task(name)
        if not isinstance(given, Task):
            raise ConfigError(f"task: a {type(given).__name__} is no openmic.Task; make one with Task(…)")
        self._records["task"] = describe_object(given)
        return given

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """What was loaded or is recalled, by key, ready for JSON: `use`, `kwargs`, `source_hash`, `importable`."""
        return {key: dict(record) for key, record in sorted((self._recorded | self._records).items())}

    def renewed(self, recorded: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """What a run recorded, brought up to date: what was changed keeps the hashes it had, under `earlier_hashes`."""
        found = {key: dict(record) for key, record in recorded.items()}
        for key, record in self._records.items():
            before = recorded.get(key)
            earlier = [] if before is None else list(before.get("earlier_hashes", []))
            if before is not None and before["source_hash"] != record["source_hash"]:
                earlier.append(before["source_hash"])
            found[key] = record | ({"earlier_hashes": earlier} if earlier else {})
        return found

    def changes(self, recorded: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """One line for each object whose source is no longer what a run recorded."""
        return [
            f"{key}: {record['use']} was changed since the run began"
            for key, record in self.records.items()
            if (before := recorded.get(key)) is not None and before["source_hash"] != record["source_hash"]
        ]
