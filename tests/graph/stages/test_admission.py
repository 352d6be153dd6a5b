"""Admission as a game: whatever order things happen in, nothing is too stale, and something can always happen next."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmic.graph.stages.admission import Admission


def test_outstanding_work_is_bounded_by_the_lags_trainings() -> None:
    admission = Admission(every=2, max_staleness=1)
    for _ in range(3):
        admission.begin_dialogue()
    assert admission.has_room()
    admission.waiting = 1
    assert not admission.has_room()
    admission.begin_training()
    assert not admission.has_room()  # what is being learned from counts until it has been
    admission.end_training(promoted=False)
    assert admission.has_room()


def test_without_a_limit_everything_may_begin() -> None:
    admission = Admission(every=1, max_staleness=None)
    for _ in range(99):
        admission.begin_dialogue()
    admission.waiting = 99
    assert admission.has_room()
    assert admission.may_train()


def test_a_training_waits_for_the_dialogue_it_would_leave_too_far_behind() -> None:
    admission = Admission(every=1, max_staleness=1)
    slow = admission.begin_dialogue()
    assert admission.may_train()
    admission.begin_training()
    assert not admission.may_train()
    admission.end_training(promoted=True)
    assert not admission.may_train()
    admission.begin_dialogue()
    admission.end_dialogue(slow)
    assert admission.may_train()


def test_a_version_that_was_rolled_back_leaves_nobody_behind() -> None:
    admission = Admission(every=1, max_staleness=1)
    admission.begin_dialogue()
    for _ in range(3):
        admission.begin_training()
        admission.end_training(promoted=False)
    assert admission.may_train()


def test_without_any_lag_dialogues_and_trainings_take_turns() -> None:
    admission = Admission(every=4, max_staleness=0)
    ticket = admission.begin_dialogue()
    admission.due = True
    assert not admission.has_room()
    assert not admission.may_train()
    admission.end_dialogue(ticket)
    assert admission.may_train()
    admission.begin_training()
    assert not admission.has_room()


@pytest.mark.parametrize("lag", [1, 2])
def test_a_dialogue_left_by_an_interruption_is_waited_for_while_that_is_of_use(lag: int) -> None:
    admission = Admission(every=1, max_staleness=1)
    admission.begin_dialogue(lag)
    assert admission.may_train() is (lag > 1)


class Game:
    """What a driver does with an admission: dialogues are (promotions when begun, ticket), preferences the former."""

    def __init__(self, every: int, max_staleness: int, dialogues: int) -> None:
        self.admission, self.every, self.max_staleness = Admission(every, max_staleness), every, max_staleness
        self.to_come = dialogues
        self.under_way: list[tuple[int, int]] = []
        self.waiting: list[int] = []
        self.training = False
        self.promoted = 0

    def moves(self) -> list[str]:
        self.admission.due = not self.training and len(self.waiting) >= self.every
        possible = {
            "begin": self.to_come > 0 and self.admission.has_room(),
            "end": bool(self.under_way),
            "train": self.admission.due and self.admission.may_train(),
            "trained": self.training,
        }
        return [move for move, can in possible.items() if can]

    def play(self, move: str, draw: st.DataObject) -> None:
        if move == "begin":
            self.to_come -= 1
            self.under_way.append((self.promoted, self.admission.begin_dialogue()))
        elif move == "end":
            begun, ticket = self.under_way.pop(draw.draw(st.integers(0, len(self.under_way) - 1)))
            self.admission.end_dialogue(ticket)
            self.waiting += [begun] * draw.draw(st.integers(0, 3))
            self.admission.waiting = len(self.waiting)
        elif move == "train":
            assert all(self.promoted - begun <= self.max_staleness for begun in self.waiting)
            self.admission.begin_training()
            self.training, self.waiting = True, []
        else:
            self.training = False
            promoted = draw.draw(st.booleans())
            self.promoted += promoted
            self.admission.end_training(promoted=promoted)
            self.admission.waiting = len(self.waiting)


@settings(deadline=None)  # the first example imports what it needs
@given(st.data(), st.integers(1, 4), st.integers(0, 2))
def test_whatever_happens_nothing_is_too_stale_and_it_never_comes_to_a_halt(
    draw: st.DataObject, every: int, max_staleness: int
) -> None:
    game = Game(every, max_staleness, draw.draw(st.integers(1, 12)))
    while moves := game.moves():
        game.play(draw.draw(st.sampled_from(moves)), draw)
    assert game.to_come == 0
    assert not game.under_way
    assert all(game.promoted - begun <= max_staleness for begun in game.waiting)  # for the round's own training
