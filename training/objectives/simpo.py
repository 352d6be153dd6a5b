"""Simple preference optimisation (Meng et al. 2024, eq. 6): no reference model, rewards per token.

    loss = -log sigmoid(beta * (mean log pi(chosen) - mean log pi(rejected)) - gamma) + nll * NLL of the chosen

with means over a completion's tokens and gamma = beta * gamma_beta_ratio, the lead that the chosen text shall have.
"""

from torch.nn.functional import logsigmoid

from .base import Loss, Objective, ObjectiveSettings, RowLogprobs, margin_metrics


class SimplePreferenceOptimisation(Objective):
    """The loss of this module's formula, averaged over pairs."""

    needs = "pairs"
    default_beta = 2.0

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch of chosen and rejected rows."""
        chosen, rejected = rows.chosen, rows.rejected
        beta = self.beta(settings)
        margin = beta * (chosen.mean - rejected.mean)
        preference = -chosen.weighed(logsigmoid(margin - beta * settings.gamma_beta_ratio)).mean()
        likelihood = -chosen.mean.mean()
        metrics = {**margin_metrics(margin), "chosen_nll": likelihood.detach()}
        return Loss(preference + self.nll_weight(settings) * likelihood, metrics)
