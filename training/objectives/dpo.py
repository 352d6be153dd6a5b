"""Direct preference optimisation (Rafailov et al. 2023, eq. 7), with label smoothing and a likelihood term.

With d = beta * [(log pi(w) - log ref(w)) - (log pi(l) - log ref(l))]:

    loss = -(1 - eps) * log sigmoid(d) - eps * log sigmoid(-d) + nll * mean per-token NLL of the chosen completion

eps > 0 is the conservative DPO of Mitchell (2023), for a critic that is known to err. The likelihood term (Pang et al.
2024) keeps the chosen completion's own probability from sinking along with the rejected one's.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid

from .base import Loss, ObjectiveSettings, RowLogprobs


class DirectPreferenceOptimisation:
    """The loss of this module's formula, averaged over pairs."""

    pairwise = True
    needs_reference = True

    def __call__(self, rows: RowLogprobs, reference: Tensor | None, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch of B/2 chosen, then B/2 rejected rows; `reference` is [B]."""
        assert reference is not None
        assert reference.shape == rows.total.shape
        pairs = reference.shape[0] // 2
        gain = settings.beta * (rows.total - reference)
        margin = gain[:pairs] - gain[pairs:]
        eps = settings.label_smoothing
        preference = (-(1 - eps) * logsigmoid(margin) - eps * logsigmoid(-margin)).mean()
        chosen = rows.half(second=False)
        likelihood = (-chosen.total / chosen.lengths).mean()
        metrics = {
            "reward_accuracy": (margin > 0).float().mean().item(),
            "reward_margin": margin.mean().item(),
            "chosen_nll": likelihood.item(),
        }
        return Loss(preference + settings.nll_weight * likelihood, metrics)


dpo = DirectPreferenceOptimisation()
