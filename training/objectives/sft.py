"""Supervised fine-tuning: cross-entropy on completion tokens only."""

from typing import ClassVar

from .base import Loss, Needs, Objective, ObjectiveSettings, RowLogprobs


class SupervisedFineTuning(Objective):
    """Mean negative log-probability per completion token over the batch: a long text weighs more than a short one."""

    needs: ClassVar[Needs] = "demonstrations"
    mean_over = "tokens"
    staleness_tolerant = True

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch; `settings` plays no part."""
        chosen = rows.chosen
        return Loss(-chosen.token.sum() / chosen.mask.sum().clamp(min=1), {})
