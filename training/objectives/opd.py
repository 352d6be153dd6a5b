"""On-policy distillation (Thinking Machines 2025; MiniLLM, Gu et al. 2024, token by token): reverse KL by sampling.

The student wrote the text; s is the student that wrote it, t the teacher, pi the student that is being trained. Of each
token y of a draft, given all before it:

    advantage = log t(y) - log s(y), without gradient
    loss      = -mean over tokens of pi(y) / s(y) * advantage

No discount: a token answers for itself alone. At the start the mean advantage is an estimate of -KL(s || t), and the
loss has the gradient of the per-token KL(pi || t) over what the student itself writes; pi / s corrects for what was
learned since. s is taken to be the model that training starts from, so that it holds for drafts that this version
sampled at temperature 1 with top_p 1. Drafts that a gate turned away teach like others.
"""

import torch

from ...core.errors import TrainingError
from .base import Loss, Objective, ObjectiveSettings, RowLogprobs


class OnPolicyDistillation(Objective):
    """The loss of this module's formulas, averaged over tokens."""

    needs = "drafts"
    needs_reference = True
    mean_over = "tokens"

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        """The loss of one batch of drafts with reference and teacher; `settings` plays no part."""
        if rows.reference is None or rows.teacher is None:
            raise TrainingError("on-policy distillation needs the reference's and the teacher's log-probabilities")
        tokens = rows.mask.sum().clamp(min=1)
        ratio = torch.exp(rows.log_ratio) * rows.mask
        advantage = rows.teacher - rows.reference
        with torch.no_grad():
            # Weighted by the ratio, it is of what the student would write now.
            divergence = (ratio * (rows.token - rows.teacher)).sum() / tokens
        metrics = {"reverse_kl": divergence, "ratio": ratio.detach().sum() / tokens}
        return Loss(-(ratio * advantage).sum() / tokens, metrics)
