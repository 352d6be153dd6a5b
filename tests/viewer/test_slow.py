from collections.abc import Iterator
from threading import Event

import pytest

from openmic.viewer import slow
from openmic.viewer.slow import SlowValues

PATIENT_S = 60.0


@pytest.fixture
def values() -> Iterator[SlowValues]:
    made = SlowValues()
    yield made
    made.close()


def test_what_is_final_is_counted_once(values: SlowValues) -> None:
    calls: list[int] = []

    def count() -> int:
        calls.append(1)
        return 7

    assert [values.get("a", count, final=True, patience_s=PATIENT_S) for _ in range(3)] == [7, 7, 7]
    assert len(calls) == 1


def test_what_takes_long_is_there_later(values: SlowValues) -> None:
    free = Event()
    assert values.get("a", lambda: free.wait() and 7, final=True, patience_s=0.001) is None
    free.set()
    assert values.get("a", lambda: 8, final=True, patience_s=PATIENT_S) == 7


def test_what_changes_is_counted_again_while_the_old_figure_is_shown(
    values: SlowValues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slow, "LEAST_AGE_S", -1.0)
    monkeypatch.setattr(slow, "SHARE", 1e9)
    values.get("a", lambda: 1, final=False, patience_s=PATIENT_S)
    counted, free = Event(), Event()

    def count() -> int:
        counted.set()
        free.wait()
        return 2

    assert values.get("a", count, final=False, patience_s=PATIENT_S) == 1
    assert counted.wait(PATIENT_S)
    free.set()
    while values.get("a", lambda: 2, final=False, patience_s=PATIENT_S) != 2:
        pass


def test_a_failure_is_raised_and_forgotten(values: SlowValues) -> None:
    with pytest.raises(ZeroDivisionError):
        values.get("a", lambda: 1 / 0, final=True, patience_s=PATIENT_S)
    assert values.get("a", lambda: 3, final=True, patience_s=PATIENT_S) == 3


def test_only_so_many_are_remembered(values: SlowValues, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "MOST", 2)
    for key in "abc":
        values.get(key, lambda: 1, final=True, patience_s=PATIENT_S)
    assert values.get("a", lambda: 2, final=True, patience_s=PATIENT_S) == 2
    assert values.get("c", lambda: 2, final=True, patience_s=PATIENT_S) == 1
