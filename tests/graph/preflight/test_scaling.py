"""The capacity model against cases computed by hand, and that more work or less speed never makes a run shorter."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.graph.preflight.scaling import Asked, EndpointSpeed, Speeds, Stage, forecast

CRITIC = EndpointSpeed(latency_s=2.0, max_concurrency=10)


def timed(stage: Stage, speeds: Speeds) -> tuple[float, str]:
    found = forecast([stage], speeds)
    return found.seconds, found.bound


def asking(calls: float, **values: Any) -> dict[str, Asked]:
    return {"critic": Asked(calls=calls, **values)}


def test_nothing_to_do_takes_no_time_and_has_no_bound() -> None:
    found = forecast([], Speeds())
    assert (found.seconds, found.bound, found.usd, found.stages) == (0, "", 0, ())
    assert forecast([Stage(name="none", times=0, trained_tokens={"sft": 9})], Speeds()).seconds == 0


def test_calls_wait_for_places_at_the_endpoint() -> None:
    # 100 calls of 2 s, ten at once: ten times 2 s
    speeds = Speeds(endpoints={"critic": CRITIC})
    assert timed(Stage(name="a", asked=asking(100)), speeds) == (20.0, "critic.max_concurrency")
    # three calls have room at once, and still take 2 s
    assert timed(Stage(name="a", asked=asking(3)), speeds) == (2.0, "critic.max_concurrency")


def test_a_limit_lets_the_first_minutes_share_through_at_once() -> None:
    # 600 calls a minute: of 1500 the first 600 pass at once, 900 take a minute and a half
    limited = replace(CRITIC, latency_s=0.01, requests_per_minute=600)
    speeds = Speeds(endpoints={"critic": limited})
    assert timed(Stage(name="a", asked=asking(1500)), speeds) == (pytest.approx(90), "critic.requests_per_minute")
    # 50,000 tokens, 10,000 of them a minute: four minutes
    limited = replace(CRITIC, tokens_per_minute=10_000)
    speeds = Speeds(endpoints={"critic": limited})
    assert timed(Stage(name="a", asked=asking(100, tokens=50_000)), speeds) == (240, "critic.tokens_per_minute")


def test_the_students_actors_share_what_is_generated() -> None:
    stage = Stage(name="a", items=100, at_once=100, generations=700, generated_tokens=28_000)
    assert timed(stage, Speeds(student_tokens_per_s=100)) == (280, "student")
    assert timed(stage, Speeds(student_tokens_per_s=100, actors=4)) == (70, "student")


def test_items_wait_for_their_replies_one_after_the_other() -> None:
    # four replies of 2 s each; 64 inputs on 16 places: four times 8 s. Those asked for together are waited for once.
    slow = EndpointSpeed(latency_s=3.0, max_concurrency=1000)
    speeds = Speeds(endpoints={"critic": replace(CRITIC, max_concurrency=1000), "jury.0": slow})
    alone = Stage(name="a", items=64, at_once=16, waits={("critic",): 4.0}, asked=asking(256))
    assert timed(alone, speeds) == (32, "places")
    both = replace(alone, waits={("critic", "jury.0"): 4.0})
    assert timed(both, speeds) == (48, "places")
    # so are the student's 20 tokens of an input, at 10 a second, and 5 replies at 0.1 s of the driver's each
    more = replace(alone, generations=64, generated_tokens=64 * 20)
    slower = replace(speeds, student_tokens_per_s=10.0, actors=100, driver_s_per_reply=0.1, workers=100)
    assert timed(more, slower) == (pytest.approx(4 * (8 + 2 + 0.5)), "places")


def test_driver_and_store_bound_what_nothing_else_does() -> None:
    stage = Stage(name="a", asked=asking(900), generations=100, turns=5000, by_workers=True)
    speeds = Speeds(endpoints={"critic": replace(CRITIC, latency_s=0.0)}, driver_s_per_reply=0.01)
    assert timed(stage, speeds) == (10, "driver")
    assert timed(stage, replace(speeds, workers=4)) == (2.5, "driver")
    assert timed(replace(stage, by_workers=False), replace(speeds, workers=4)) == (10, "driver")
    assert timed(stage, replace(speeds, workers=4, handed_over=0.4)) == (4, "driver")
    assert timed(stage, replace(speeds, workers=2, handed_over=0.4)) == (5, "driver")
    # more event loops do not write any faster
    assert timed(stage, replace(speeds, workers=4, store_turns_per_s=1000)) == (5, "store")


def test_stages_follow_one_another_and_the_longest_bound_in_all_is_named() -> None:
    speeds = Speeds(
        endpoints={"critic": CRITIC},
        student_tokens_per_s=10,
        trainers=2,
        training_tokens_per_s={"sft": 50, "dpo": 100},
        bytes_per_turn=2000,
        actors=3,
    )
    stages = [
        Stage(name="imitate", trained_tokens={"sft": 5000}),  # 50 s
        Stage(name="collect", times=2, asked=asking(150, usd=0.5), turns=10),  # 2 * 30 s
        Stage(name="fine-tune", times=2, trained_tokens={"dpo": 3000}),  # 2 * 15 s
    ]
    found = forecast(stages, speeds)
    assert [(one.stage, one.seconds, one.bound) for one in found.stages] == [
        ("imitate", 50, "trainer"),
        ("collect", 60, "critic.max_concurrency"),
        ("fine-tune", 30, "trainer"),
    ]
    assert (found.seconds, found.bound) == (140, "trainer")
    assert found.usd == 1.0
    assert found.actor_hours == pytest.approx(3 * 140 / 3600)
    assert found.trainer_hours == pytest.approx(2 * 140 / 3600)
    assert (found.turns, found.store_bytes) == (20, 40_000)
    unknown = forecast([*stages, Stage(name="report", asked=asking(1, usd=None))], speeds)
    assert unknown.usd is None


def test_bounds_tell_how_far_each_is_from_being_one() -> None:
    speeds = Speeds(endpoints={"critic": CRITIC}, student_tokens_per_s=100)
    [time] = forecast([Stage(name="a", asked=asking(100), generated_tokens=1000)], speeds).stages
    assert time.bounds == {"critic.max_concurrency": 20, "student": 10}
    assert forecast([Stage(name="a", asked=asking(100))], speeds).as_json()["stages"][0]["bound"] == time.bound


amounts = st.floats(0, 1e9)
rates = st.floats(0.01, 1e9)
counts = st.integers(1, 10_000)
limits = st.none() | st.floats(0.1, 1e9)
endpoints = st.builds(
    EndpointSpeed, latency_s=amounts, max_concurrency=counts, requests_per_minute=limits, tokens_per_minute=limits
)
speeds_of_any_kind = st.builds(
    Speeds,
    endpoints=st.fixed_dictionaries({"teacher": endpoints, "critic": endpoints}),
    actors=counts,
    student_tokens_per_s=rates,
    trainers=counts,
    training_tokens_per_s=st.fixed_dictionaries({"dpo": rates}),
    workers=counts,
    driver_s_per_reply=amounts,
    store_turns_per_s=rates,
)
asked = st.builds(Asked, calls=amounts, tokens=amounts)
stages_of_any_kind = st.builds(
    Stage,
    name=st.just("a"),
    times=st.integers(0, 100),
    items=st.integers(0, 10**9),
    at_once=counts,
    waits=st.fixed_dictionaries({("critic",): amounts, ("teacher", "critic"): amounts}),
    asked=st.fixed_dictionaries({"teacher": asked, "critic": asked}),
    generations=amounts,
    generated_tokens=amounts,
    trained_tokens=st.fixed_dictionaries({"dpo": amounts}),
    turns=amounts,
)
factors = st.integers(1, 1000)
A_HAIR = 1 + 1e-9
"""Sums in another order differ in their last digit."""


@given(st.lists(stages_of_any_kind, max_size=3), speeds_of_any_kind, factors)
def test_more_inputs_never_take_less_time(stages: list[Stage], speeds: Speeds, factor: int) -> None:
    def more(stage: Stage) -> Stage:
        return replace(
            stage,
            items=factor * stage.items,
            asked={
                name: Asked(calls=factor * each.calls, tokens=factor * each.tokens)
                for name, each in stage.asked.items()
            },
            generations=factor * stage.generations,
            generated_tokens=factor * stage.generated_tokens,
            trained_tokens={name: factor * tokens for name, tokens in stage.trained_tokens.items()},
            turns=factor * stage.turns,
        )

    before, after = forecast(stages, speeds), forecast([more(stage) for stage in stages], speeds)
    assert before.seconds <= after.seconds * A_HAIR


@given(st.lists(stages_of_any_kind, max_size=3), speeds_of_any_kind, factors)
def test_more_speed_never_takes_more_time(stages: list[Stage], speeds: Speeds, factor: int) -> None:
    def faster(endpoint: EndpointSpeed) -> EndpointSpeed:
        requests, tokens = endpoint.requests_per_minute, endpoint.tokens_per_minute
        return EndpointSpeed(
            latency_s=endpoint.latency_s / factor,
            max_concurrency=endpoint.max_concurrency + factor,
            requests_per_minute=None if requests is None else factor * requests,
            tokens_per_minute=None if tokens is None else factor * tokens,
        )

    before = forecast(stages, speeds).seconds
    each = [
        replace(speeds, endpoints={name: faster(one) for name, one in speeds.endpoints.items()}),
        replace(speeds, actors=speeds.actors + 1),
        replace(speeds, student_tokens_per_s=factor * speeds.student_tokens_per_s),
        replace(speeds, trainers=speeds.trainers + 1),
        replace(speeds, training_tokens_per_s={"dpo": factor * speeds.training_tokens_per_s["dpo"]}),
        replace(speeds, workers=speeds.workers + 1),
        replace(speeds, driver_s_per_reply=speeds.driver_s_per_reply / factor),
        replace(speeds, store_turns_per_s=factor * speeds.store_turns_per_s),
    ]
    for more in each:
        assert forecast(stages, more).seconds <= before * A_HAIR
    for at_once in (1, 2, 1000):
        wider = [replace(stage, at_once=stage.at_once + at_once) for stage in stages]
        assert forecast(wider, speeds).seconds <= before * A_HAIR


@given(st.lists(stages_of_any_kind, max_size=3), speeds_of_any_kind)
def test_a_stage_takes_as_long_as_the_bound_that_is_named(stages: list[Stage], speeds: Speeds) -> None:
    found = forecast(stages, speeds)
    for stage in found.stages:
        assert stage.seconds == max(stage.bounds.values(), default=0) < inf
        assert stage.seconds == stage.bounds.get(stage.bound, 0)
    assert found.seconds == pytest.approx(sum(stage.seconds for stage in found.stages))
