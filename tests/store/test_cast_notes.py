from typing import Any

import pytest

from openmic.store.cast_notes import cast_notes, simulated_seats

SIMULATED = {"teacher": "sim-teacher", "critic": "sim-critic", "judge": "sim-judge"}


@pytest.mark.parametrize(
    ("cast", "seats"),
    [
        ({"simulated": True, **SIMULATED}, ["teacher", "critic", "judge"]),
        ({"simulated": False, **SIMULATED, "critic": "mine:twist", "judge": "mine:twist"}, ["teacher"]),
        ({"simulated": False, **SIMULATED, "judge": "gpt"}, ["teacher", "critic"]),
        ({"simulated": False, "critic": "gpt", "jury": ["gpt", "sim-critic-3"]}, ["jury"]),
        ({"simulated": False, "teacher": "t.jsonl", "references": "sim-teacher", "judge": "gpt"}, ["references"]),
        ({"simulated": False, "teacher": "big", "critic": "c", "judge": "j"}, []),
    ],
)
def test_who_is_simulated_is_told_seat_by_seat(cast: dict[str, Any], seats: list[str]) -> None:
    assert simulated_seats(cast) == seats
    assert any("simulated" in note for note in cast_notes(cast)) is bool(seats)


def test_a_judge_that_is_the_critic_is_noted() -> None:
    cast = {"simulated": False, "teacher": "big", "critic": "c", "judge": "c", "judge_is_critic": True}
    [note] = cast_notes(cast)
    assert note.startswith("the judge is the critic itself")
