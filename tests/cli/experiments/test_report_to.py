"""`openmic report RUN --to TRACKER`, with a tracker that is a list."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from openmic.cli.report import tracker_lines
from openmic.core.config import RunConfig
from openmic.store import Run, Store
from openmic.store.liveness import run_folder

from ...viewer.transcripts import write
from ..conftest import Openmic


class Listing:
    """A tracker that keeps what it is given, where it is not down."""

    down: ClassVar[bool] = False
    took: ClassVar[list[Any]] = []
    takes_files = False

    def __init__(self, *_: Any) -> None:
        self.log: Callable[..., None] = lambda *given: self.took.append(given)
        self.table = self.log

    def start(self, config: Mapping[str, Any]) -> tuple[str, str]:
        if self.down:
            raise OSError("no route to host")
        return "T1", "https://example.org/T1"

    def finish(self) -> None:
        """Nothing is left."""


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("openmic.graph.tracking.reporting.Sink", Listing)
    monkeypatch.setattr("openmic.graph.runs.send.check_trackers", lambda _: None)
    monkeypatch.setattr(Listing, "down", False)
    monkeypatch.setattr(Listing, "took", [])
    config = RunConfig.model_validate({"inputs": {"path": "none.jsonl"}, "home": str(tmp_path)})
    with Store.open(str(tmp_path / "store.db")) as store:
        write(store)
        store.update(Run, "RUN1", config=config.model_dump(mode="json"))
        run = store.get(Run, "RUN1")
        assert run is not None
        run_folder(store, run).mkdir(parents=True)
    return str(tmp_path / "store.db")


def trackers_of(openmic: Openmic, stored: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(openmic("status", "RUN1", "--json", "--store", stored).out)
    return dict(status["trackers"])


def test_a_run_is_sent_and_status_says_where_it_went(openmic: Openmic, stored: str) -> None:
    done = openmic("report", "RUN1", "--to", "wandb", "--store", stored)
    assert (done.code, done.err) == (0, "")
    line = f"wandb: {len(Listing.took)} figures sent to https://example.org/T1"
    assert done.out == f"{line}\n"
    assert trackers_of(openmic, stored)["wandb"]["where"] == "https://example.org/T1"
    found = json.loads(openmic("report", "RUN1", "--to", "wandb", "--json", "--store", stored).out)
    assert found["wandb"]["figures"] == len(Listing.took), "nothing is sent twice"


def test_a_tracker_that_is_away_is_told_with_the_command_that_sends_the_rest(
    openmic: Openmic, stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Listing, "down", True)
    done = openmic("report", "RUN1", "--to", "wandb", "--store", stored)
    assert (done.code, done.out) == (1, "")
    assert "error: not all of run RUN1 was sent (wandb: no route to host)" in done.err
    assert "openmic report RUN1 --to wandb" in done.err
    assert tracker_lines({"trackers": trackers_of(openmic, stored)}) == [
        "wandb: 0 figures sent; 1 attempt failed, the last one: no route to host"
    ]


@pytest.mark.parametrize("more", [["--out", "page.html"], ["--format", "html"]])
def test_a_page_and_a_tracker_at_once_are_refused(openmic: Openmic, stored: str, more: list[str]) -> None:
    done = openmic("report", "RUN1", "--to", "wandb", "--store", stored, *more)
    assert done.code == 2
    assert "give one of them" in done.err


@pytest.mark.parametrize("name", ["nowhere", "", "😀"])
def test_what_is_no_tracker_is_refused_with_those_that_are(openmic: Openmic, stored: str, name: str) -> None:
    done = openmic("report", "RUN1", "--to", name, "--store", stored)
    assert done.code == 2
    assert "tensorboard" in done.err
    assert Listing.took == []
