"""Self-distillation: cross-entropy on the texts of the student's own that the critic preferred (Ravi et al. 2024)."""

from .sft import SupervisedFineTuning


class SelfDistillation(SupervisedFineTuning):
    """The loss of supervised fine-tuning; what differs is whose texts it learns."""

    needs = "chosen"
