"""What an objective is given, what it declares, and what it gives back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ...core.errors import TrainingError
from ...core.training_settings import ObjectiveSettings
from ..student.device import moved

Needs = Literal["demonstrations", "chosen", "pairs", "rankings", "drafts"]
"""What an objective learns from: the teacher's texts, the preferred texts alone, a chosen and a rejected text, the
texts of one prompt from best to worst, or the student's drafts with the teacher's log-probability of each token."""

TARGET = -1
"""The rank of a text that stands beside a ranking to be learned by likelihood."""
MISMATCHED = -2
"""The rank of another prompt's text, from which KTO estimates how far the student is from its start."""


@dataclass(frozen=True, slots=True)
class RowLogprobs:
    """Log-probabilities of R completions of G examples under the model that is being trained, in any order."""

    token: Tensor
    """[R, C] float32: natural log-probability of each completion token, 0 outside the mask."""
    mask: Tensor
    """[R, C]: 1 on completion tokens."""
    group: Tensor
    """[R] int64: which example a row belongs to."""
    rank: Tensor
    """[R] int64: 0 for an example's best text, then 1, 2, …; `TARGET` and `MISMATCHED` stand outside the ranking."""
    mean_length: float
    """Mean tokens of a ranked completion over all that is trained on: the same in every batch."""
    reference: Tensor | None = None
    """[R, C] float32: `token` under the starting model, for an objective with `needs_reference`."""
    on_host: tuple[Tensor, Tensor] | None = None
    """`group` and `rank` in this process's memory, where they can be looked at without waiting for a GPU."""
    teacher: Tensor | None = None
    """[R, C] float32: `token` under the teacher, for an objective that needs drafts."""
    weight: Tensor | None = None
    """[R] float32: how much a row's example counts beside the others, 1 on average; None where all count alike."""

    def __post_init__(self) -> None:
        assert self.token.shape == self.mask.shape
        assert self.group.shape == self.rank.shape == self.token.shape[:1]
        assert self.reference is None or self.reference.shape == self.token.shape
        assert self.teacher is None or self.teacher.shape == self.token.shape

    @property
    def places(self) -> tuple[Tensor, Tensor]:
        """`group` and `rank`, to be looked at: of rows on a GPU the copies that are not."""
        return (self.group.cpu(), self.rank.cpu()) if self.on_host is None else self.on_host

    @property
    def lengths(self) -> Tensor:
        """[R]: completion tokens, at least 1."""
        return self.mask.sum(dim=1).clamp(min=1)

    @property
    def total(self) -> Tensor:
        """[R]: log p(completion | prompt), the sum over its tokens."""
        return self.token.sum(dim=1)

    @property
    def mean(self) -> Tensor:
        """[R]: log p(completion | prompt) per token."""
        return self.total / self.lengths

    @property
    def log_ratio(self) -> Tensor:
        """[R, C]: per token, the log-probability gained since the start.

        Raises:
            TrainingError: the objective has no `needs_reference`.
        """
        if self.reference is None:
            raise TrainingError("log_ratio needs a reference; set needs_reference = True in the objective's class")
        return self.token - self.reference

    def weighed(self, values: Tensor) -> Tensor:
        """Values of these rows, [R], each times its row's weight."""
        return values if self.weight is None else values * self.weight

    @property
    def chosen(self) -> "RowLogprobs":
        """The best text of each example, in the examples' order."""
        return self.ranked(0)

    @property
    def rejected(self) -> "RowLogprobs":
        """The second text of each example, in the examples' order: of a pair the rejected one."""
        return self.ranked(1)

    @property
    def targets(self) -> "RowLogprobs":
        """What each example teaches by likelihood: its target, or its best text where it has none. In their order."""
        group, rank = self.places
        target = rank == TARGET
        covered = torch.isin(group, group[target])
        return self._where(target | ((rank == 0) & ~covered))

    def ranked(self, rank: int) -> "RowLogprobs":
        """The rows of one rank, in the examples' order."""
        return self._where(self.places[1] == rank)

    def to(self, device: str) -> "RowLogprobs":
        """The same rows on a device."""
        return replace(
            self,
            token=self.token.to(device),
            mask=self.mask.to(device),
            group=self.group.to(device),
            rank=self.rank.to(device),
            reference=None if self.reference is None else self.reference.to(device),
            on_host=self.places,
            teacher=None if self.teacher is None else self.teacher.to(device),
            weight=None if self.weight is None else self.weight.to(device),
        )

    def _where(self, wanted: Tensor) -> "RowLogprobs":
        group, rank = self.places
        chosen = wanted.nonzero().squeeze(1)
        chosen = chosen[group[chosen].argsort(stable=True)]
        rows = moved(chosen, str(self.token.device))
        return RowLogprobs(
            self.token[rows],
            self.mask[rows],
            self.group[rows],
            self.rank[rows],
            self.mean_length,
            None if self.reference is None else self.reference[rows],
            (group[chosen], rank[chosen]),
            None if self.teacher is None else self.teacher[rows],
            None if self.weight is None else self.weight[rows],
        )


class Loss(NamedTuple):
    """A scalar to minimise, and numbers worth looking at: means over the same examples or tokens."""

    value: Tensor
    metrics: Mapping[str, float | Tensor]
    """A tensor has one number, which is read when somebody looks."""


class Objective(ABC):
    """A loss over completions. It knows neither the model nor the loop, and keeps no state between batches.

    Subclass it, say what it `needs`, and name the class as `training.objective`. Instances are pickled on their way to
    the trainer's process.
    """

    needs: ClassVar[Needs]
    """Decides how many completions an example must have, and which of them become rows."""
    needs_reference: ClassVar[bool] = False
    """Whether rows come with `reference`."""
    uses_target: ClassVar[bool] = False
    """Whether an example's target becomes a row of rank `TARGET`."""
    uses_mismatched: ClassVar[bool] = False
    """Whether each example brings a row of rank `MISMATCHED`. All those of a batch are there in each of its parts, and
    without gradients."""
    mean_over: ClassVar[Literal["examples", "tokens"]] = "examples"
    """What the loss is a mean over, so that the parts of a batch can be weighed to give the loss of the whole."""
    staleness_tolerant: ClassVar[bool] = False
    """Whether it learns what a text says, whoever wrote it. Others compare likelihoods under the student as it is, for
    which texts that an older student wrote say less; `training.max_staleness=auto` keeps such texts from them."""
    default_beta: ClassVar[float] = 0.1
    """Beta where the configuration gives none."""
    default_nll_weight: ClassVar[float] = 0.0
    """Weight of the likelihood term where the configuration gives none."""

    @abstractmethod
    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Any:
        """The mean loss of a batch, or of a part of it.

        A scalar tensor, or one and a mapping of numbers to look at.
        """

    def beta(self, settings: ObjectiveSettings) -> float:
        """The configured beta, or the objective's own."""
        return self.default_beta if settings.beta is None else settings.beta

    def nll_weight(self, settings: ObjectiveSettings) -> float:
        """The configured weight of the likelihood term, or the objective's own."""
        return self.default_nll_weight if settings.nll_weight is None else settings.nll_weight


def as_loss(found: Any, objective: str) -> Loss:
    """What an objective gave back as a `Loss`.

    Raises:
        TrainingError: it is no scalar that gradients can be taken of, or comes with something else than numbers.
    """
    value, metrics = found if isinstance(found, tuple) and len(found) == 2 else (found, {})
    if not isinstance(value, Tensor) or value.dim() or not isinstance(metrics, Mapping):
        shape = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else repr(found)[:80]
        raise TrainingError(
            f"objective {objective} returned {shape}; it is to return a scalar tensor, or one and a mapping of numbers"
        )
    numbers: dict[str, float | Tensor] = {}
    for name, number in metrics.items():
        if isinstance(number, Tensor) and number.numel() == 1:
            numbers[str(name)] = number.detach()  # reading it would be waiting for the device
            continue
        try:
            numbers[str(name)] = float(number)
        except (TypeError, ValueError, RuntimeError):  # RuntimeError: of a tensor with more than one number
            raise TrainingError(
                f"objective {objective} returned {number!r:.80} as {name!r}, where one number was expected"
            ) from None
    return Loss(value, numbers)


def margin_metrics(margin: Tensor) -> dict[str, Tensor]:
    """How often, and by how much, the chosen text leads; `margin` is [G], in units of reward."""
    return {"reward_accuracy": (margin > 0).float().mean(), "reward_margin": margin.detach().mean()}


__all__ = [
    "MISMATCHED",
    "TARGET",
    "Loss",
    "Needs",
    "Objective",
    "ObjectiveSettings",
    "RowLogprobs",
    "as_loss",
    "margin_metrics",
]
