"""The adapters of all rows in one product, with a mask that says whose columns count.

The A of every adapter stand beside one another, and the B below one another. A row's own columns are scaled as its
adapter says and all others are zero, so that each row goes through its own adapter while shapes stay what they are, and
an adapter comes in by copying numbers into place.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ....core.errors import AdapterError
from ...student.student import LoadedStudent
from ..adapter_slots import HeldAdapters, ReadAdapter
from ..engine import ADAPTERS_KEPT, BASE_MODEL

_WEIGHT = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_NOT_PLAIN = (
    "use_dora",
    "lora_bias",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "alora_invocation_tokens",
)
"""Keys of PEFT's configuration that make more of an adapter than two matrices for a layer."""


@dataclass(slots=True)
class _Stack:
    """One layer's matrices: `down` [input, slots * rank], `up` [slots * rank, output]."""

    down: Tensor
    up: Tensor
    hook: Any


class StackedAdapters(HeldAdapters):
    """LoRA adapters by version around one base model; version 0 is the base model and always there."""

    def __init__(self, student: LoadedStudent) -> None:
        super().__init__(student)
        self._stacks: dict[str, _Stack] = {}
        self._slots = self._rank = 0
        self._scales: Tensor | None = None
        """[slots + 1, slots * rank]: what a row's columns count, by its slot; 0 is the base model's."""
        self._columns: Tensor | None = None

    def slot(self, version: int) -> int:
        """Where a version stands: 0 for the base model."""
        return int(self._names[version]) if version != BASE_MODEL else 0

    def choose(self, slots: Tensor | None) -> None:
        """The next pass is of rows that go through the adapters in these slots, [rows] int64; None: through none."""
        self._columns = None if self._scales is None or slots is None else self._scales[slots].unsqueeze(1)

    def load(self, version: int, adapter: ReadAdapter, unloading: Iterable[int] = ()) -> bool:
        """Load an adapter, and unload others to make room for it.

        Returns whether tensors have moved for it: graphs that were captured before are of no use.

        Raises:
            AdapterError: it does not fit the student, or is more than plain LoRA; nothing changes.
        """
        layers, rank = self._layers(version, adapter)
        self._keep({}, without=unloading)
        taken = {int(name) for name in self._names.values()}
        slot = next(slot for slot in range(1, len(taken) + 2) if slot not in taken)
        moved = self._make_room(layers, max(slot, ADAPTERS_KEPT), rank)
        columns = slice((slot - 1) * self._rank, slot * self._rank)
        for name, stack in self._stacks.items():
            stack.down[:, columns] = 0
            stack.up[columns] = 0
            if name in layers:
                down, up = layers[name]
                stack.down[:, columns][:, : down.shape[0]] = down.T.to(stack.down)
                stack.up[columns][: down.shape[0]] = up.T.to(stack.up)
        assert self._scales is not None
        r, alpha = adapter.config.r, adapter.config.lora_alpha
        self._scales[slot] = 0
        self._scales[slot, columns] = alpha / (math.sqrt(r) if adapter.config.use_rslora else r)
        self._keep({version: str(slot)})
        return moved

    def remove(self, version: int) -> None:
        """Unload a version that nobody uses. Its place stays."""
        self._keep({}, without=[version])

    def detach(self) -> None:
        """Leave the model as it was."""
        for stack in self._stacks.values():
            stack.hook.remove()
        self._stacks.clear()

    def _layers(self, version: int, adapter: ReadAdapter) -> tuple[dict[str, tuple[Tensor, Tensor]], int]:
        """Each layer's A [rank, input] and B [output, rank], and the rank."""
        config, name = adapter.config, self._student.name

        def refusal(why: str) -> AdapterError:
            return AdapterError(f"adapter version {version} does not load on {name!r}: {why}")

        odd = [key for key in _NOT_PLAIN if getattr(config, key, None)]
        odd += ["bias"] if getattr(config, "bias", "none") != "none" else []
        odd += ["init_lora_weights"] if isinstance(config.init_lora_weights, str) else []
        if odd:
            raise refusal(f"the engine slots knows plain LoRA and not its {odd[0]}; set student.engine to static")
        sides: dict[str, dict[str, Tensor]] = {}
        for key, weight in adapter.weights.items():
            found = _WEIGHT.fullmatch(key)
            if found is None:
                raise refusal(
                    f"the engine slots knows LoRA of linear layers and not {key!r}; set student.engine to static"
                )
            sides.setdefault(found["module"], {})[found["side"]] = weight
        layers = {}
        for module, found_sides in sides.items():
            if found_sides.keys() != {"A", "B"}:
                raise refusal(f"{module!r} lacks one of its two matrices")
            down, up = found_sides["A"], found_sides["B"]
            sizes = _sizes(self._student.model, module)
            if sizes is None:
                raise refusal(f"there is no linear layer {module!r}")
            wanted = [(config.r, sizes[0]), (sizes[1], config.r)]
            for side, weight, shape in zip("AB", (down, up), wanted, strict=True):
                if tuple(weight.shape) != shape:
                    raise refusal(f"'{module}.lora_{side}' is {tuple(weight.shape)} and must be {shape}")
            layers[module] = (down, up)
        return layers, config.r

    def _make_room(self, layers: Iterable[str], slots: int, rank: int) -> bool:
        """Have a stack for each layer, of so many slots of such a rank; returns whether any was built."""
        slots, rank = max(slots, self._slots), max(rank, self._rank)
        names = dict.fromkeys([*self._stacks, *layers])
        if (slots, rank) == (self._slots, self._rank) and len(names) == len(self._stacks):
            return False
        model, before, old = self._student.model, self._stacks, (self._slots, self._rank)
        self._stacks = {}
        for name in names:
            module = model.get_submodule(name)
            wide, high = _sizes(model, name) or (0, 0)
            options: dict[str, Any] = {"dtype": model.dtype, "device": model.device}
            stack = _Stack(torch.zeros(wide, slots * rank, **options), torch.zeros(slots * rank, high, **options), None)
            if name in before:
                before[name].hook.remove()
                for slot in range(old[0]):
                    now = slice(slot * rank, slot * rank + old[1])
                    then = slice(slot * old[1], (slot + 1) * old[1])
                    stack.down[:, now], stack.up[now] = before[name].down[:, then], before[name].up[then]
            stack.hook = module.register_forward_hook(self._hook(stack))
            self._stacks[name] = stack
        scales = torch.zeros(slots + 1, slots * rank, dtype=model.dtype, device=model.device)
        if self._scales is not None:
            for slot in range(1, old[0] + 1):
                start = slot - 1
                scales[slot, start * rank : start * rank + old[1]] = self._scales[slot, start * old[1]]
        self._scales, self._slots, self._rank = scales, slots, rank
        return True

    def _hook(self, stack: _Stack) -> Any:
        def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            columns = self._columns
            if columns is None:
                return None
            given = inputs[0].to(stack.down.dtype)
            # Some models flatten rows and tokens into one dimension on their way.
            own = (given @ stack.down).view(len(columns), -1, columns.shape[-1]) * columns
            flat = output.view(-1, output.shape[-1])
            return flat.addmm_(own.flatten(0, 1), stack.up).view(output.shape)

        return add


def _sizes(model: Any, name: str) -> tuple[int, int] | None:
    """Input and output of a linear layer; None where there is none of that name."""
    try:
        module = model.get_submodule(name)
    except AttributeError:
        return None
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    return (module.nx, module.nf) if isinstance(module, Conv1D) else None
