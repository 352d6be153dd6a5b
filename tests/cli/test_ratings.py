"""`openmic ratings`: what people's ratings come to, in a terminal."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from openmic.store import Run, Store
from openmic.store.ratings import pairs_to_rate, rating, verdict_to_rate

from ..viewer.transcripts import write
from .conftest import Openmic


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "store.db")) as opened:
        write(opened)
        yield opened


def rate(store: Store, *raters: str) -> None:
    run = store.get(Run, "RUN1")
    assert run is not None
    for rater in raters:
        for pair in pairs_to_rate(store, run, "test", number=100):
            store.add_new(rating(verdict_to_rate(store, run, pair), rater, "left"))


def test_the_tables_say_what_people_judge_and_chance_have_to_do_with_each_other(store: Store, openmic: Openmic) -> None:
    rate(store, "Ann", "Bo \x1b[2Jx")
    done = openmic("ratings", "RUN1", "--store", store.url)
    assert done.code == 0
    assert "12 ratings of 6 pairs (Ann 6, Bo x 6); 0 skipped" in done.out
    assert "too few pairs to say much" in done.out
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[:2] for line in lines if line[:1] in (["v0"], ["v2"])] == [["v0", "3"], ["v2", "3"]]
    assert any(line[:3] == ["judge", "and", "people"] and line[3] == "12" for line in lines)
    assert any("people choose the left text" in line and "100.0%" in line for line in done.out.splitlines())


def test_the_same_as_json(store: Store, openmic: Openmic) -> None:
    rate(store, "Ann")
    found = json.loads(openmic("ratings", "latest", "--store", store.url, "--json").out)
    assert (found["run"], found["of"], found["pairs"], found["raters"]) == ("RUN1", "test", 6, {"Ann": 6})
    assert [row["version"] for row in found["versions"]] == [0, 2]
    left = found["position"]["people_left"]
    assert (left["n"], left["share"]["value"]) == (6, 1.0)
    assert left["share"]["ci"] == pytest.approx([0.610, 1.0], abs=0.001)  # Wilson's, of six out of six
    assert found["people"] is None


def test_where_nobody_rated_it_says_how_to(store: Store, openmic: Openmic) -> None:
    rate(store, "Ann")
    done = openmic("ratings", "RUN1", "--of", "dialogues", "--store", store.url)
    assert (done.code, done.out) == (0, "")
    assert "openmic view RUN1" in done.err
    found = json.loads(openmic("ratings", "RUN1", "--of", "dialogues", "--store", store.url, "--json").out)
    assert found["pairs"] == 0
