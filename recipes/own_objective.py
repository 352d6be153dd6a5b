"""A campaign that minimises an objective of one's own: identity preference optimisation (Azar et al. 2023, eq. 17).

Run it with `python recipes/own_objective.py`: some minutes on a laptop, no key, no network.
"""

from typing import Any

from torch import Tensor

import openmic


class IdentityPreferenceOptimisation(openmic.Objective):
    """Squared distance of the preference margin from 1 / (2 beta), so that certain preferences are not overfitted."""

    needs = "pairs"
    needs_reference = True

    def __call__(self, rows: Any, settings: Any) -> tuple[Tensor, dict[str, float]]:
        """The mean over pairs; `rows` hold the log-probabilities of each completion's tokens, and the reference's."""
        gained = [part.log_ratio.sum(dim=1) / part.lengths for part in (rows.chosen, rows.rejected)]
        margin = gained[0] - gained[1]
        loss = (margin - 1 / (2 * self.beta(settings))).square().mean()
        return loss, {"reward_accuracy": (margin > 0).float().mean().item()}


run = openmic.run(
    "examples/humor.yaml",
    {"inputs.limit": 160, "dialogue.inputs": 24, "evaluation.test_inputs": 24, "training.beta": 1.0},
    objective=IdentityPreferenceOptimisation(),
)
run.show()
print(f"the last version's objective: {run.versions[-1]['objective']}")
print(run.plugs["training.objective"])
