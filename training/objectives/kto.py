"""Kahneman-Tversky optimisation (Ethayarajh et al. 2024, section 4): each text is good or bad by itself.

With r(y) = log pi(y) - log ref(y) and z = max(0, mean of r over texts under prompts that are not theirs), without
gradient:

    loss of a good text = desirable_weight   * (1 - sigmoid(beta * (r - z)))
    loss of a bad text  = undesirable_weight * (1 - sigmoid(beta * (z - r)))

A pair's chosen text is a good one and its rejected text a bad one; nothing else couples the two.
"""

import torch
from torch import Tensor

from .base import MISMATCHED, Loss, Objective, ObjectiveSettings, RowLogprobs, margin_metrics


class KahnemanTverskyOptimisation(Objective):
    """The loss of this module's formulas, averaged over texts."""

    needs = "pairs"
    needs_reference = True
    uses_mismatched = True
    default_beta = 0.1

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch of chosen, rejected and mismatched rows with their reference."""
        beta, divergence = self.beta(settings), _divergence(rows.ranked(MISMATCHED))
        good, bad = (part.log_ratio.sum(dim=1) for part in (rows.chosen, rows.rejected))
        losses = [
            rows.chosen.weighed(settings.desirable_weight * (1 - torch.sigmoid(beta * (good - divergence)))),
            rows.rejected.weighed(settings.undesirable_weight * (1 - torch.sigmoid(beta * (divergence - bad)))),
        ]
        metrics = {**margin_metrics(beta * (good - bad)), "kl": divergence}
        return Loss(torch.cat(losses).mean(), metrics)


def _divergence(rows: RowLogprobs) -> Tensor:
    """The estimate z; 0 where nothing is mismatched, as in a training of one example."""
    gains = rows.log_ratio.sum(dim=1).detach()
    return gains.mean().clamp(min=0) if len(gains) else gains.new_zeros(())
