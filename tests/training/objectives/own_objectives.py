"""Objectives as a user's module has them."""

from openmic.training.objectives import Loss, Objective, ObjectiveSettings, RowLogprobs


class Margin(Objective):
    """The chosen text is to lead by a margin, per token."""

    needs = "pairs"

    def __init__(self, margin: float = 1.0) -> None:
        self.margin = margin

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        lead = rows.chosen.mean - rows.rejected.mean
        return Loss((self.margin - lead).clamp(min=0).mean(), {"lead": lead.mean().item()})


class Undecided(Margin):
    """Does not say what it needs."""

    needs = "everything"  # type: ignore[assignment]  # that is the point


wide = Margin(margin=5.0)
not_one = object()


class Raising(Margin):
    """Fails as soon as it is asked."""

    def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
        raise KeyError("boo")
