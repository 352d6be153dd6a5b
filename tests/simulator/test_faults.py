import json

import pytest

from openmic.simulator import SimulatorSettings
from openmic.simulator.faults import Turnstile, break_json, delay_s


def test_never_more_than_two_attempts_are_turned_away_in_a_row() -> None:
    turnstile = Turnstile(SimulatorSettings(faults={"429": 1.0}))
    assert [turnstile.admit("a") for _ in range(7)] == ["429", "429", None] * 2 + ["429"]


def test_requests_are_counted_apart() -> None:
    turnstile = Turnstile(SimulatorSettings(faults={"500": 1.0}))
    assert [turnstile.admit(key) for key in "abab"] == ["500"] * 4
    assert [turnstile.admit(key) for key in "ab"] == [None, None]


def test_rates_are_kept() -> None:
    turnstile = Turnstile(SimulatorSettings(faults={"429": 0.2, "500": 0.25}))
    fates = [turnstile.admit(str(number)) for number in range(2000)]
    assert 0.17 < fates.count("429") / 2000 < 0.23
    assert 0.22 < fates.count("500") / 2000 < 0.28


def test_json_is_broken_in_several_ways() -> None:
    value = {"works": "It's fine", "missing": "x", "suggestion": "y"}
    broken = {break_json(value, number) for number in range(40)}
    assert len(broken) == 4
    for text in broken:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)


def test_delay_is_latency_and_some_jitter() -> None:
    settings = SimulatorSettings(latency_s=0.5, latency_jitter_s=0.25)
    delays = [delay_s(settings, str(number)) for number in range(200)]
    assert 0.5 <= min(delays) < 0.52
    assert 0.73 < max(delays) < 0.75


def test_settings_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="extra"):
        SimulatorSettings(qualty=0.5)  # type: ignore[call-arg]  # the misspelling is the test
