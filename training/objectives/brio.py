"""BRIO (Liu et al. 2022) with the margin of Ravi et al. (2024): better texts shall be likelier ones.

For an example's texts S_1 … S_n from best to worst, s(S) = sum of log pi / length ** length_penalty, and lambda the
mean length in tokens of all ranked texts that are trained on:

    ranking = sum over i < j of max(0, s(S_j) - s(S_i) + ln(2 * (j - i)) / lambda)
    loss    = rank_weight * ranking + nll_weight * mean per-token NLL of the teacher's text

For one pair the margin is ln 2 / lambda. Lambda is taken over the training set and not over a batch, so that a batch's
loss does not depend on how it is split. An example without a text of the teacher's learns its own best text instead.
"""

import torch

from ..student.device import moved
from .base import Loss, Objective, ObjectiveSettings, RowLogprobs


class BringingOrder(Objective):
    """The loss of this module's formula, averaged over examples."""

    needs = "rankings"
    uses_target = True
    default_nll_weight = 1.0

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch of rankings and targets."""
        score = rows.total / rows.lengths**settings.length_penalty
        group, rank = rows.places
        worse_by = rank.unsqueeze(0) - rank.unsqueeze(1)  # [R, R]: how many ranks column j is below row i
        ranked = rank >= 0
        compared = (group.unsqueeze(0) == group.unsqueeze(1)) & (worse_by > 0)
        compared &= ranked.unsqueeze(0) & ranked.unsqueeze(1)
        pairs = compared.nonzero(as_tuple=True)
        device = str(score.device)
        margin = moved(torch.log(2 * worse_by[pairs].to(score.dtype)), device) / rows.mean_length
        better, worse = (moved(place, device) for place in pairs)
        lead = score[better] - score[worse]
        examples = max(1, int((rank == 0).sum()))
        ranking = _weighed(torch.relu(margin - lead), rows, better).sum() / examples
        likelihood = -rows.targets.mean.mean()
        metrics = {
            # Of an example's pairs, as each example must count alike however many texts it ranks.
            "rank_accuracy": _mean_by_example((lead > 0).float(), group[pairs[0]]),
            "rank_loss": ranking.detach(),
            "target_nll": likelihood.detach(),
        }
        return Loss(settings.rank_weight * ranking + self.nll_weight(settings) * likelihood, metrics)


def _weighed(values: torch.Tensor, rows: RowLogprobs, better: torch.Tensor) -> torch.Tensor:
    """Values of pairs, [pairs], each times the weight of its example, which its better row has."""
    return values if rows.weight is None else values * rows.weight[better]


def _mean_by_example(values: torch.Tensor, group: torch.Tensor) -> torch.Tensor:
    """The mean over examples of the means over their values; both [pairs], and `group` on the CPU."""
    counts = torch.bincount(group)
    return (values / moved(counts[group], str(values.device))).sum() / max(1, int((counts > 0).sum()))
