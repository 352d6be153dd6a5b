"""Precision of a training: the choice of a number format, and how a model computes in it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

from ...core.errors import ConfigError

PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]


def resolve_precision(name: PrecisionName, device: str) -> torch.dtype:
    """The format that a name means on a device.

    `auto` is bfloat16 on a GPU that computes in it and float32 anywhere else: few CPUs are faster in bfloat16.

    Raises:
        ConfigError: float16 anywhere but on a CUDA device, where alone its gradients can be scaled.
    """
    on_cuda = torch.device(device).type == "cuda"
    match name:
        case "auto":
            return torch.bfloat16 if on_cuda and torch.cuda.is_bf16_supported(False) else torch.float32
        case "float16" if not on_cuda:
            raise ConfigError(
                f"precision float16 needs a CUDA device, and the student is on {device!r}; take auto, bfloat16 or "
                "float32"
            )
        case _:
            dtype: torch.dtype = getattr(torch, name)
            return dtype


class Precision:
    """One training's format. The adapter stays in float32 in each of them.

    In float32 the base model's weights are turned into float32 too. In the 16-bit formats they stay as they were loaded
    and each operation computes as autocast decides.
    """

    def __init__(self, dtype: torch.dtype, model: Any, device: str) -> None:
        self.dtype = dtype
        self._device = torch.device(device).type
        self._scaler = torch.amp.GradScaler(self._device, enabled=dtype == torch.float16)
        # A process without a share of the first batch would else have no scale to divide the others' gradients by.
        self._scaler.scale(torch.zeros(1, device=device))
        if dtype == torch.float32:
            model.float()

    def state(self) -> dict[str, float]:
        """GradScaler state; empty unless float16."""
        found: dict[str, float] = self._scaler.state_dict()
        return found

    def resume(self, state: dict[str, float]) -> None:
        """Go on from what `state` gave."""
        self._scaler.load_state_dict(state)

    def compute(self, *, captured: bool = False) -> AbstractContextManager[Any]:
        """Where the model's forward passes belong; those that are captured as graphs keep no converted weights."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device, self.dtype, cache_enabled=not captured)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the loss's gradients to those that are there."""
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def step(
        self, optimizer: torch.optim.Optimizer, parameters: list[Any], max_norm: float, *, keep_gradients: bool = False
    ) -> None:
        """Clip the gradients, take the step and clear them. In float16 a step whose gradients overflow is left out.

        With `keep_gradients` they become zeros where they are.
        """
        self._scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        self._scaler.step(optimizer)
        self._scaler.update()
        optimizer.zero_grad(set_to_none=not keep_gradients)
