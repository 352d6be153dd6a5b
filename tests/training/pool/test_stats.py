from types import SimpleNamespace

import pytest

from openmic.training.pool.stats import Meter, PoolStats


def test_the_rate_of_tokens_is_no_matter_of_when_one_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("openmic.training.pool.stats.time", SimpleNamespace(monotonic=lambda: clock[0]))
    meter, rates = Meter(), []
    for second in range(1, 21):
        clock[0] += 1.0
        if second % 5 == 0:  # texts are counted when they are whole, here many at once
            meter.answered(500, staleness=0)
        meter.measure([], waiting=0)
        rates.append(meter.tokens_per_second)
    assert rates[:4] == [0.0] * 4
    assert rates[10:] == [100.0] * 10


def test_work_on_a_version_of_its_own_does_not_name_the_one_that_serves() -> None:
    stats = PoolStats(
        actors=1, serving=1, in_flight=3, waiting=0, tokens_per_second=80, utilisation=0.5, promoted_version=2
    )
    assert str(stats) == f"{stats.work}, adapter v2"
    assert stats.work == "1 student, 3 in flight, 80 tokens/s, 50% busy"
