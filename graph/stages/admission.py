"""Admission: which dialogues and trainings may begin, so that no text is too stale to be trained on.

As others admit rollouts (SkyRL, AReaL), what is under way, what waits to be trained on and what is being trained on
add up to no more than `max_staleness + 1` trainings' worth; a dialogue counts as one preference. That alone holds on
average: a slow dialogue can be overtaken. So a training also waits for dialogues that it would leave too far behind.

Counts alone; who waits, and what for, is in `graph.stages.periodic`.
"""

from collections import Counter


class Admission:
    """The state of one round's dialogues and trainings, which take place one at a time."""

    def __init__(self, every: int, max_staleness: int | None) -> None:
        """Nothing is under way.

        Args:
            every: A training's worth of preferences.
            max_staleness: By how many versions what is trained on may be behind; None for any, which bounds nothing.
        """
        self.waiting = 0
        """Preferences of ended dialogues, written by the student, that no training has begun to learn from."""
        self.due = False
        """Whether a training is to begin as soon as it may."""
        self._every, self._max_lag = every, max_staleness
        self._promoted = 0
        self._learning: int | None = None
        self._under_way: Counter[int] = Counter()

    @property
    def under_way(self) -> int:
        """How many dialogues have begun and not ended."""
        return self._under_way.total()

    @property
    def training(self) -> bool:
        """Whether a training is under way."""
        return self._learning is not None

    def has_room(self) -> bool:
        """Whether another dialogue may begin."""
        if self._max_lag is None:
            return True
        if self._max_lag == 0 and (self.due or self.training):
            return False  # whatever began now would be one version behind
        outstanding = self.under_way + self.waiting + (self._learning or 0)
        return outstanding < (self._max_lag + 1) * self._every

    def may_train(self) -> bool:
        """Whether a training may begin: none is under way, and nobody's dialogue would be too stale by it."""
        if self.training:
            return False
        # Where a dialogue is too far behind already, which only an interruption can bring about, waiting is no use.
        return self._max_lag is None or not self._under_way[self._promoted - self._max_lag]

    def begin_dialogue(self, lag: int = 0) -> int:
        """Count a dialogue held with the version that is `lag` behind; returns what to end it with."""
        begun = self._promoted - lag
        self._under_way[begun] += 1
        return begun

    def end_dialogue(self, begun: int) -> None:
        """Count a dialogue no longer."""
        self._under_way[begun] -= 1

    def begin_training(self) -> None:
        """All that waits is learned from."""
        assert self.may_train()
        self._learning, self.waiting, self.due = self.waiting, 0, False

    def end_training(self, *, promoted: bool) -> None:
        """What came of it serves, or does not."""
        self._learning = None
        self._promoted += promoted
