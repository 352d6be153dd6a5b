import pytest
from pydantic import ValidationError

from openmic.core.student_settings import PoolSettings
from openmic.training.pool.scaling import Scaling

SETTINGS = PoolSettings(
    actors=2,
    min_actors=1,
    max_actors=3,
    scale_up_above=10,
    scale_up_after_s=5,
    scale_down_below=4,
    scale_down_after_s=20,
)


def decisions(loads: list[int], actors: int, every: float = 1.0) -> list[int]:
    scaling = Scaling(SETTINGS)
    return [scaling.decide(place * every, actors=actors, requests=load) for place, load in enumerate(loads)]


def test_it_grows_only_after_much_has_waited_for_a_while() -> None:
    assert decisions([21] * 6, actors=2) == [0, 0, 0, 0, 0, 1]
    assert decisions([20] * 60, actors=2) == [0] * 60


def test_one_quiet_moment_begins_the_wait_anew() -> None:
    assert decisions([21, 21, 21, 21, 21, 5, 21, 21, 21, 21, 21, 21], actors=2) == [0] * 11 + [1]


def test_it_grows_by_one_at_a_time_and_not_beyond_the_most() -> None:
    assert sum(decisions([1000] * 11, actors=2)) == 1
    assert decisions([1000] * 30, actors=3) == [0] * 30


def test_it_shrinks_only_after_little_was_there_for_a_while_and_not_below_the_fewest() -> None:
    assert decisions([7] * 21, actors=2) == [0] * 20 + [-1]
    assert decisions([8] * 60, actors=2) == [0] * 60
    assert decisions([0] * 60, actors=1) == [0] * 60


def test_it_does_not_shrink_to_where_it_would_grow() -> None:
    settings = SETTINGS.model_copy(update={"scale_down_below": 9.0, "scale_down_after_s": 0.0})
    assert Scaling(settings).decide(0, actors=2, requests=15) == 0
    assert Scaling(settings).decide(0, actors=2, requests=10) == -1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"actors": 1, "min_actors": 2}, "must lie between min_actors=2 and max_actors=1"),
        ({"actors": 3, "max_actors": 2}, "actors=3 must lie between"),
        ({"scale_up_above": 4, "scale_down_below": 4}, "grow and shrink without end"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PoolSettings.model_validate(values)


def test_the_cpus_are_those_of_the_most_actors_there_may_be() -> None:
    assert PoolSettings(actors=1, max_actors=5, cpus_per_actor=0.5).cpus == 3
    assert PoolSettings().cpus == 1
