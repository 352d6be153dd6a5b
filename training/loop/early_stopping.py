"""Stopping by a held-out loss: remembers the best state, and says when it has not been beaten for too long."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class EarlyStopping:
    """The best state so far of the parameters it watches."""

    def __init__(self, parameters: Sequence[Tensor], patience: int) -> None:
        self._parameters = parameters
        self._patience = patience
        self._updates_since_best = 0
        self._best: list[Tensor] = []
        self.best_loss = float("inf")
        self.best_step = 0

    def update(self, step: int, loss: float) -> bool:
        """Take note of the held-out loss after a step; returns whether to stop.

        That of step 0, before any training, is no reason to stop, but its state may prove to be the best.
        """
        if loss < self.best_loss:
            self.best_loss, self.best_step, self._updates_since_best = loss, step, 0
            self._best = [parameter.detach().clone() for parameter in self._parameters]
            return False
        self._updates_since_best += 1
        return self._updates_since_best >= self._patience

    @torch.no_grad()
    def restore(self) -> None:
        """Put the parameters back into their best state, if there was one."""
        for parameter, best in zip(self._parameters, self._best, strict=False):
            parameter.copy_(best)

    def state(self) -> tuple[dict[str, Any], list[Tensor]]:
        """What it remembers: numbers for JSON, and the best state of the parameters."""
        facts = {"updates": self._updates_since_best, "best_loss": self.best_loss, "best_step": self.best_step}
        return facts, self._best

    def resume(self, facts: dict[str, Any], best: Sequence[Tensor]) -> None:
        """Go on from what `state` gave."""
        self._updates_since_best, self.best_loss, self.best_step = (
            facts["updates"],
            facts["best_loss"],
            facts["best_step"],
        )
        self._best = [tensor.to(parameter) for tensor, parameter in zip(best, self._parameters, strict=False)]
