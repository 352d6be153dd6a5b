"""What an objective is given and what it gives back."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from ...core.config import ObjectiveSettings


@dataclass(frozen=True, slots=True)
class RowLogprobs:
    """Log-probabilities of B completions under the model that is being trained."""

    token: Tensor
    """[B, C] float32, 0 outside the mask."""
    mask: Tensor
    """[B, C], 1 on completion tokens."""

    @property
    def total(self) -> Tensor:
        """[B]: log p(completion | prompt), the sum over its tokens."""
        return self.token.sum(dim=1)

    @property
    def lengths(self) -> Tensor:
        """[B]: completion tokens, at least 1."""
        return self.mask.sum(dim=1).clamp(min=1)

    def half(self, *, second: bool) -> "RowLogprobs":
        """The first or the second B/2 rows."""
        middle = self.token.shape[0] // 2
        part = slice(middle, None) if second else slice(None, middle)
        return RowLogprobs(self.token[part], self.mask[part])


class Loss(NamedTuple):
    """A scalar to minimise, and numbers worth looking at."""

    value: Tensor
    metrics: dict[str, float]


class Objective(Protocol):
    """A loss over completions.

    For an objective with `pairwise` the rows are B/2 chosen completions, then the B/2 rejected ones in the same order;
    else every row is a completion to learn.
    """

    pairwise: bool
    needs_reference: bool

    def __call__(self, rows: RowLogprobs, reference: Tensor | None, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch. `reference` is [B], the rows' totals under the starting adapter, or None."""
        ...


__all__ = ["Loss", "Objective", "ObjectiveSettings", "RowLogprobs"]
