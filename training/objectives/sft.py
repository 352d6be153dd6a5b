"""Supervised fine-tuning: cross-entropy on completion tokens only."""

from torch import Tensor

from .base import Loss, ObjectiveSettings, RowLogprobs


class SupervisedFineTuning:
    """Mean negative log-probability per completion token over the batch."""

    pairwise = False
    needs_reference = False

    def __call__(self, rows: RowLogprobs, reference: Tensor | None, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch; `reference` and `settings` play no part."""
        return Loss(-rows.token.sum() / rows.mask.sum().clamp(min=1), {})


sft = SupervisedFineTuning()
