from collections.abc import Sequence

import pytest

from openmic.core.ids import content_hash
from openmic.core.records import Agent, TurnKind
from openmic.graph.training_data.labels import Labels, relabelled
from openmic.store import Preference, Turn

NUMBER = 200


def turn(name: str, seq: int, run: str) -> Turn:
    said = name.removeprefix(run)
    return Turn(
        id=name, run_id=run, dialogue_id="d", seq=seq, agent=Agent.STUDENT, kind=TurnKind.DRAFT, content=said,
        content_hash=content_hash(said), model="m",
    )  # fmt: skip


def made(run: str = "RUN1", later: int = 150) -> tuple[list[Preference], dict[str, Turn]]:
    """Preferences of which the first so many prefer the later text."""
    names = [(f"{run}{n}{side}", seq) for n in range(NUMBER) for seq, side in enumerate("ab")]
    rows = []
    for n in range(NUMBER):
        better, worse = ("b", "a") if n < later else ("a", "b")
        rows.append(
            Preference(
                id=f"{run}{n}", run_id=run, round=1, dialogue_id="d", example_id=f"e{n}", source="candidates",
                margin=0.5, chosen_turn_id=f"{run}{n}{better}", rejected_turn_id=f"{run}{n}{worse}", length_ratio=1.0,
            )
        )  # fmt: skip
    return rows, {name: turn(name, seq, run) for name, seq in names}


def labels(rows: Sequence[Preference]) -> list[str]:
    return [row.chosen_turn_id[-1] for row in rows]


def test_the_critic_s_labels_stay() -> None:
    rows, turns = made()
    assert relabelled(rows, turns, "critic", 1) == rows


@pytest.mark.parametrize(("kind", "later"), [("shuffled", {150}), ("random", range(70, 131))])
def test_controls_say_nothing_of_what_the_critic_preferred(kind: Labels, later: Sequence[int]) -> None:
    rows, turns = made()
    found = relabelled(rows, turns, kind, 1)
    assert [row.id for row in found] == [row.id for row in rows]
    assert labels(found).count("b") in later
    expected = 150 / 200 * 150 / 200 + 50 / 200 * 50 / 200 if kind == "shuffled" else 0.5
    same = sum(one == other for one, other in zip(labels(found), labels(rows), strict=True))
    assert abs(same / NUMBER - expected) < 0.12, "as often as chance has it"
    assert all({row.chosen_turn_id, row.rejected_turn_id} <= set(turns) for row in found)
    assert labels(rows).count("b") == 150, "the rows themselves are as they were"


@pytest.mark.parametrize("kind", ["shuffled", "random"])
def test_labels_follow_from_seed_and_texts_alone(kind: Labels) -> None:
    rows, turns = made()
    found = dict(zip((row.example_id for row in rows), labels(relabelled(rows, turns, kind, 1)), strict=True))
    backwards = rows[::-1]
    again = dict(zip((row.example_id for row in backwards), labels(relabelled(backwards, turns, kind, 1)), strict=True))
    assert again == found
    others, theirs = made("RUN2")
    assert labels(relabelled(others, theirs, kind, 1)) == labels(relabelled(rows, turns, kind, 1))
    assert labels(relabelled(rows, turns, kind, 2)) != labels(relabelled(rows, turns, kind, 1))


def test_none_and_one_preference_are_taken_as_they_come() -> None:
    rows, turns = made()
    assert relabelled([], {}, "shuffled", 1) == relabelled([], {}, "random", 1) == []
    assert labels(relabelled(rows[:1], turns, "shuffled", 1)) == ["b"]
