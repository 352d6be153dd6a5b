"""BRIO (Liu et al. 2022) with the margin of Ravi et al. (2024): better texts shall be likelier ones.

For an example's texts S_1 … S_n from best to worst, s(S) = sum of log pi / length ** length_penalty, and lambda the
mean length in tokens of all ranked texts that are trained on:

    ranking = sum over i < j of max(0, s(S_j) - s(S_i) + ln(2 * (j - i)) / lambda)
    loss    = rank_weight * ranking + nll_weight * mean per-token NLL of the teacher's text

For one pair the margin is ln 2 / lambda. Lambda is taken over the training set and not over a batch, so that a batch's
loss does not depend on how it is split. An example without a text of the teacher's learns its own best text instead.
"""

import torch

from .base import Loss, Objective, ObjectiveSettings, RowLogprobs


class BringingOrder(Objective):
    """The loss of this module's formula, averaged over examples."""

    needs = "rankings"
    uses_target = True
    default_nll_weight = 1.0

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch of rankings and targets."""
        score = rows.total / rows.lengths**settings.length_penalty
        worse_by = rows.rank.unsqueeze(0) - rows.rank.unsqueeze(1)  # [R, R]: how many ranks column j is below row i
        ranked = rows.rank >= 0
        compared = (rows.group.unsqueeze(0) == rows.group.unsqueeze(1)) & (worse_by > 0)
        compared &= ranked.unsqueeze(0) & ranked.unsqueeze(1)
        better, worse = compared.nonzero(as_tuple=True)
        margin = torch.log(2 * worse_by[better, worse].to(score.dtype)) / rows.mean_length
        lead = score[better] - score[worse]
        examples = max(1, int((rows.rank == 0).sum()))
        ranking = torch.relu(margin - lead).sum() / examples
        likelihood = -rows.targets.mean.mean()
        metrics = {
            # Of an example's pairs, as each example must count alike however many texts it ranks.
            "rank_accuracy": _mean_by_example((lead > 0).float(), rows.group[better]),
            "rank_loss": ranking.item(),
            "target_nll": likelihood.item(),
        }
        return Loss(settings.rank_weight * ranking + self.nll_weight(settings) * likelihood, metrics)


def _mean_by_example(values: torch.Tensor, group: torch.Tensor) -> float:
    """The mean over examples of the means over their values; both [pairs]."""
    counts = torch.bincount(group)
    return float((values / counts[group]).sum() / (counts > 0).sum().clamp(min=1))
