"""Lags: what is behind what."""

from typing import Any

import pytest
from sqlalchemy import select

from openmic.core.records import Agent, TurnKind
from openmic.store import Adapter, Preference, Store, TrainingItem
from openmic.store.tables.training import AdapterStatus
from openmic.store.trainable import histogram, lag, of_similar_length, staleness, staleness_of, untrained

from .rows import dialogue, preference, training, turn


def test_a_lag_counts_the_versions_that_served_since() -> None:
    served = [0, 1, 2, 5]  # 3 and 4 were rolled back
    assert [lag(writer, 5, served) for writer in (0, 1, 2, 3, 4, 5)] == [3, 2, 1, 1, 1, 0]
    assert lag(5, 2, served) == 0
    assert lag(0, 2, served) == 2


def test_a_histogram_is_in_the_order_of_the_lags() -> None:
    assert list(histogram([10, 0, 2, 0]).items()) == [("0", 2), ("2", 1), ("10", 1)]


@pytest.fixture
def pairs(store: Store) -> Store:
    """Pairs of texts by versions 0 to 3 and by the teacher; version 2 was rolled back, versions 1 and 3 served."""
    statuses: list[AdapterStatus] = ["promoted", "rolled_back", "promoted", "candidate"]
    common: dict[str, Any] = {"run_id": "RUN1", "stage": "round", "round": 1, "base_model": "tiny"}
    for number, status in enumerate(statuses, start=1):
        store.add(Adapter(id=f"a{number}", version=number, status=status, **common))
    store.add(dialogue(), training())
    taught = {"agent": Agent.TEACHER, "kind": TurnKind.DEMONSTRATION}
    for seq, version in enumerate((0, 1, 3)):
        store.add(turn(seq, id=f"v{version}", adapter_version=version))
    store.add(turn(3, id="told", **taught), turn(4, id="told too", **taught))
    store.add(
        preference(id="old", chosen_turn_id="v0", rejected_turn_id="v1", length_ratio=0.5),
        preference(id="mixed", chosen_turn_id="v3", rejected_turn_id="v1", length_ratio=0.8),
        preference(id="fallback", chosen_turn_id="told", rejected_turn_id="v3", length_ratio=1.25),
        preference(id="teacher", chosen_turn_id="told", rejected_turn_id="told too", length_ratio=1.3),
        TrainingItem(id="i1", training_id="x1", run_id="RUN1", position=0, preference_id="mixed"),
    )
    return store


def test_a_preference_is_as_stale_as_the_older_of_its_texts_and_the_teachers_are_never(pairs: Store) -> None:
    rows = pairs.select(Preference)
    assert staleness_of(pairs, "RUN1", rows, 3) == {"old": 2, "mixed": 1, "fallback": 0}
    assert staleness_of(pairs, "RUN1", rows, 1) == {"old": 1, "mixed": 0, "fallback": 0}
    assert staleness_of(pairs, "RUN1", [], 3) == {}
    latest = pairs.rows(select(Preference, staleness("RUN1")))
    assert {row.id: behind for row, behind in latest} == {"old": 2, "mixed": 1, "fallback": 0, "teacher": None}


def test_what_is_too_unlike_in_length_or_used_already_is_not_learned_from(pairs: Store) -> None:
    similar = pairs.rows(select(Preference).where(of_similar_length((0.8, 1.25))))
    assert {row.id for (row,) in similar} == {"mixed", "fallback"}
    left = pairs.rows(select(Preference).where(untrained("RUN1")))
    assert {row.id for (row,) in left} == {"old", "fallback", "teacher"}
    assert len(pairs.rows(select(Preference).where(untrained("RUN2")))) == 4
