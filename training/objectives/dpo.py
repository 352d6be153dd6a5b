"""Direct preference optimisation (Rafailov et al. 2023, eq. 7) and three additions to it.

With r(y) = log pi(y) - log ref(y) and d = beta * (r(chosen) - r(rejected)):

    loss = -(1 - eps) * log sigmoid(d) - eps * log sigmoid(-d) + nll * mean per-token NLL of the chosen completion

eps > 0 is the conservative DPO of Mitchell (2023), for a critic that is known to err. The likelihood term (Pang et al.
2024) keeps the chosen completion's own probability from sinking along with the rejected one's. In r, tokens past the
length of the shorter of the two completions count a-fold: a < 1 is LD-DPO (Liu et al. 2024), which keeps a
critic's liking for long texts from being learned.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .base import Loss, Objective, ObjectiveSettings, RowLogprobs, margin_metrics


class DirectPreferenceOptimisation(Objective):
    """The loss of this module's formula, averaged over pairs."""

    needs = "pairs"
    needs_reference = True
    default_beta = 0.1
    default_nll_weight = 0.1

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch of chosen and rejected rows with their reference."""
        chosen, rejected = rows.chosen, rows.rejected
        shared = torch.minimum(chosen.lengths, rejected.lengths)
        gained, lost = (_reward(part, shared, settings.ld_alpha) for part in (chosen, rejected))
        margin = self.beta(settings) * (gained - lost)
        eps = settings.label_smoothing
        preference = chosen.weighed(-(1 - eps) * logsigmoid(margin) - eps * logsigmoid(-margin)).mean()
        likelihood = -chosen.mean.mean()
        metrics = {**margin_metrics(margin), "chosen_nll": likelihood.detach()}
        return Loss(preference + self.nll_weight(settings) * likelihood, metrics)


def _reward(rows: RowLogprobs, shared: Tensor, beyond: float) -> Tensor:
    """[G]: the log-ratio to the start, tokens past the `shared` length [G] counted `beyond`-fold."""
    position = rows.mask.cumsum(dim=1)
    weight = torch.where(position <= shared.unsqueeze(1), 1.0, beyond)
    return (rows.log_ratio * weight).sum(dim=1)
