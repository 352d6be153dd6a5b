"""The adapters that are loaded around a student in memory, several at once, one of them selected.

Any thread may ask what is loaded. That nobody generates while an adapter is put on or taken off is the engine's care.
"""

import threading
from pathlib import Path
from typing import Any

from ...core.errors import AdapterError
from ...core.records import AdapterRef
from ..adapters import verify_adapter
from ..student import LoadedStudent
from .engine import ADAPTERS_KEPT, BASE_MODEL

NO_ADAPTER_NAME = "__base__"
"""PEFT's name for no adapter in a batch of several."""


class AdapterShelf:
    """LoRA adapters by version around one base model; version 0 is the base model and always there."""

    def __init__(self, student: LoadedStudent) -> None:
        self._student = student
        self._names: dict[int, str] = {}  # never changed in place, so that others may read it meanwhile
        self._lock = threading.Lock()
        self._selected: int | None = None
        self.model: Any = student.model
        """The model to call, with whatever is loaded around it."""
        self.current = BASE_MODEL

    @property
    def loaded(self) -> tuple[int, ...]:
        """Version 0, and the others from the least to the most recently used."""
        return (BASE_MODEL, *self._names)

    def missing(self, ref: AdapterRef) -> Path | None:
        """The verified folder of an adapter that is not loaded; None for one that is.

        Raises:
            AdapterError: its files are not what was committed.
        """
        return None if ref.version in self.loaded else verify_adapter(ref)

    def put(self, version: int, folder: Path) -> None:
        """Load an adapter beside the others.

        Raises:
            AdapterError: it does not fit the student; it leaves no trace.
        """
        name = f"v{version}"
        self._selected = None
        try:
            self._attach(str(folder), name)
        except (ValueError, RuntimeError, KeyError, OSError) as error:
            raise AdapterError(f"adapter version {version} does not load on {self._student.name!r}: {error}") from error
        self._keep({version: name})

    def touch(self, version: int) -> None:
        """Note that a version is used now."""
        if version in self._names:
            self._keep({version: self._names[version]})

    def surplus(self, keep: set[int], *, incoming: int = 0) -> list[int]:
        """The least recently used versions beyond those an engine holds, without the current one and `keep`.

        Args:
            keep: Versions that must stay.
            incoming: Adapters that are about to be put.
        """
        spare = [version for version in self._names if version not in keep | {self.current}]
        return spare[: max(0, len(self._names) + incoming - ADAPTERS_KEPT)]

    def remove(self, version: int) -> None:
        """Let go of a version that nobody uses."""
        self._selected = None
        name = self._names[version]
        self._keep({}, without=version)
        if self._names:
            self.model.set_adapter(next(iter(self._names.values())), inference_mode=True)  # one in use is never deleted
            self.model.delete_adapter(name)
        else:
            self.model = self.model.unload()

    def name(self, version: int) -> str:
        """PEFT's name of a version; that of the base model where it is not loaded."""
        return self._names.get(version, NO_ADAPTER_NAME)

    def select(self, version: int) -> None:
        """Generate with that version from now on; one that is not loaded is the base model."""
        if not self._names or version == self._selected:
            return
        if version in self._names:
            self.model.base_model.enable_adapter_layers()
            self.model.set_adapter(self._names[version], inference_mode=True)
        else:
            self.model.base_model.disable_adapter_layers()
        self._selected = version

    def select_by_row(self) -> None:
        """Let each row name its adapter from now on."""
        if self._names:
            self.model.base_model.enable_adapter_layers()
            self._selected = None

    def _keep(self, last: dict[int, str], *, without: int | None = None) -> None:
        with self._lock:
            others = {version: name for version, name in self._names.items() if version not in last}
            others.pop(without or BASE_MODEL, None)
            self._names = others | last

    def _attach(self, folder: str, name: str) -> None:
        from peft import PeftConfig, PeftModel

        if self._names:
            try:
                self.model.load_adapter(folder, adapter_name=name)
            except BaseException:
                if name in self.model.peft_config:
                    self.model.delete_adapter(name)
                raise
        else:
            config = PeftConfig.from_pretrained(folder, inference_mode=True)
            model: Any = PeftModel(self._student.model, config, adapter_name=name)
            try:
                model.load_adapter(folder, adapter_name=name)
            except BaseException:
                model.unload()
                raise
            self.model = model
        self.model.eval()
