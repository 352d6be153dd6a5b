"""The adapters that are loaded around a student in memory, several at once, one of them selected.

PEFT takes long to build a slot for an adapter into every layer, and no time to copy weights into one. So slots are
built for as many adapters as are kept when the first one comes, and an adapter of the same shape takes one over.

Any thread may ask what is loaded. The engine sees to it that nothing is generated while a slot is filled or emptied.
"""

import threading
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from ...core.errors import AdapterError
from ...core.records import AdapterRef
from ..adapters.adapters import verify_adapter
from ..student.student import LoadedStudent
from .engine import ADAPTERS_KEPT, BASE_MODEL

NO_ADAPTER_NAME = "__base__"
"""PEFT's name for no adapter in a batch of several."""
NO_SHAPE = ("base_model_name_or_path", "revision", "inference_mode", "peft_version")
"""What of PEFT's configuration of an adapter does not change how it computes."""


class ReadAdapter(NamedTuple):
    """An adapter in memory, in a slot or on its way into one."""

    config: Any
    """PEFT's."""
    weights: dict[str, Tensor]
    """By PEFT's names, as in its file."""

    @property
    def shape(self) -> object:
        """Equal for adapters that fit into the same slot."""
        facts = {name: value for name, value in self.config.to_dict().items() if name not in NO_SHAPE}
        return facts, {name: value.shape for name, value in self.weights.items()}


class HeldAdapters:
    """Which adapters stand around one base model, by version, and which of them go first; version 0 is always there."""

    def __init__(self, student: LoadedStudent) -> None:
        self._student = student
        self._names: dict[int, str] = {}  # never changed in place, so that others may read it meanwhile
        self._lock = threading.Lock()

    @property
    def loaded(self) -> tuple[int, ...]:
        """Version 0, and the others from the least to the most recently used."""
        return (BASE_MODEL, *self._names)

    def missing(self, ref: AdapterRef) -> ReadAdapter | None:
        """An adapter that is not loaded, verified and read; None for one that is loaded. May go on beside a generation.

        Raises:
            AdapterError: its files are not what was committed, or cannot be read.
        """
        return None if ref.version in self.loaded else read_adapter(verify_adapter(ref))

    def touch(self, version: int) -> None:
        """Note that a version is used now."""
        if version in self._names:
            self._keep({version: self._names[version]})

    def evictable(self, keep: Collection[int]) -> list[int]:
        """The least recently used versions that have to go for one more adapter; none of `keep` is among them."""
        spare = [version for version in self._names if version not in keep]
        return spare[: max(0, len(self._names) + 1 - ADAPTERS_KEPT)]

    def _keep(self, last: dict[int, str], *, without: Iterable[int] = ()) -> None:
        with self._lock:
            gone = {*last, *without}
            self._names = {version: name for version, name in self._names.items() if version not in gone} | last


class AdapterSlots(HeldAdapters):
    """LoRA adapters by version in slots that PEFT builds; version 0 is the base model and always there."""

    def __init__(self, student: LoadedStudent) -> None:
        super().__init__(student)
        self._slots: dict[str, ReadAdapter] = {}
        """What each slot holds, by PEFT's name of it; the weights are the model's own tensors."""
        self._built = 0
        self._selected: int | None = None
        self.model: Any = student.model
        """The model to call, with whatever is loaded around it."""

    def load(self, version: int, adapter: ReadAdapter, unloading: Iterable[int] = ()) -> None:
        """Load an adapter, and unload others to make room for it.

        Raises:
            AdapterError: it does not fit the student; it leaves no trace, and nothing is unloaded.
        """
        self._selected = None
        unloading = list(unloading)
        vacant = [name for name in self._slots if name not in self._names.values()]
        vacant += [self._names[each] for each in unloading]
        name = next((name for name in vacant if self._slots[name].shape == adapter.shape), None)
        if name is None:
            name = self._build(version, adapter)
        self._keep({}, without=unloading)
        for key, weight in adapter.weights.items():
            self._slots[name].weights[key].copy_(weight)
        self._keep({version: name})
        self._clear(adapter.shape)

    def remove(self, version: int) -> None:
        """Unload a version that nobody uses. Its slot stays."""
        self._selected = None
        self._keep({}, without=[version])

    def name(self, version: int) -> str:
        """PEFT's name of a version; that of the base model where it is not loaded."""
        return self._names.get(version, NO_ADAPTER_NAME)

    def select(self, version: int) -> None:
        """Generate with that version from now on; one that is not loaded is the base model."""
        if not self._slots or version == self._selected:
            return
        if version in self._names:
            self.model.base_model.enable_adapter_layers()
            self.model.set_adapter(self._names[version], inference_mode=True)
        else:
            self.model.base_model.disable_adapter_layers()
        self._selected = version

    def select_by_row(self) -> None:
        """Let each row name its adapter from now on."""
        if self._slots:
            self.model.base_model.enable_adapter_layers()
            self._selected = None

    def _build(self, version: int, adapter: ReadAdapter) -> str:
        """Build a slot for an adapter, or several where there is none yet; returns one of them."""
        names = []
        try:
            for _ in range(1 if self._slots else ADAPTERS_KEPT):
                name = f"slot{self._built}"
                self._built += 1
                names.append(name)
                self._add(name, adapter)
        except (ValueError, RuntimeError, KeyError) as error:
            self._tear_down(names)
            raise AdapterError(f"adapter version {version} does not load on {self._student.name!r}: {error}") from error
        return names[0]

    def _add(self, name: str, adapter: ReadAdapter) -> None:
        from peft import PeftModel, get_peft_model_state_dict

        if self.model is self._student.model:
            self.model = PeftModel(self._student.model, adapter.config, adapter_name=name)
        else:
            self.model.add_adapter(name, adapter.config)
        self.model.eval()
        # The tensors of this dict are the model's own, under the names they have in a file.
        weights = get_peft_model_state_dict(self.model, adapter_name=name, save_embedding_layers=False)
        if differing := sorted(weights.keys() ^ adapter.weights.keys()):
            raise ValueError(f"it has no fitting weights for {differing[0]!r}")
        for key, weight in weights.items():
            if weight.shape != adapter.weights[key].shape:
                raise ValueError(f"{key!r} is {tuple(adapter.weights[key].shape)} and must be {tuple(weight.shape)}")
        self._slots[name] = ReadAdapter(adapter.config, {key: weight.detach() for key, weight in weights.items()})

    def _clear(self, shape: object) -> None:
        """Tear down slots that are empty and do not suit adapters of the shape that came last."""
        taken = set(self._names.values())
        self._tear_down([name for name, held in self._slots.items() if name not in taken and held.shape != shape])

    def _tear_down(self, names: list[str]) -> None:
        for name in names:
            self._slots.pop(name, None)
        present = [name for name in names if name in getattr(self.model, "peft_config", {})]
        if present and not self._slots:
            self.model = self.model.unload()
            return
        for name in present:
            self.model.set_adapter(next(iter(self._slots)), inference_mode=True)  # one in use is never deleted
            self.model.delete_adapter(name)


def read_adapter(folder: Path) -> ReadAdapter:
    """A verified adapter's configuration and weights.

    Raises:
        AdapterError: it cannot be read.
    """
    from peft import PeftConfig
    from peft.utils import load_peft_weights
    from safetensors import SafetensorError

    try:
        config = PeftConfig.from_pretrained(str(folder), inference_mode=True)
        return ReadAdapter(config, load_peft_weights(str(folder), device="cpu"))
    except (ValueError, RuntimeError, KeyError, OSError, SafetensorError) as error:
        raise AdapterError(f"the adapter in {str(folder)!r} cannot be read: {error}") from error
