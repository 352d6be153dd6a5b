"""`openmic status` of runs that ended badly."""

import re

import pytest

from openmic.store import Store

from ..store.rows import run
from .conftest import Openmic

ERROR = "TrainingError: round 1 cannot be learned from: no preference is left to train on; of 12 drafts, 6 cut off"


def test_why_a_run_failed_is_broken_between_words_on_a_terminal_and_is_one_line_in_a_file(
    openmic: Openmic, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast = {"simulated": False}
    with Store.open("openmic-data/openmic.db") as store:
        store.add(run(status="failed", error=ERROR, config={"student": {"model": "tiny"}}, cast=cast))
    assert f"error: {ERROR}\n" in openmic("status").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", openmic("status").out).splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("error:"))
    assert [line.rstrip() for line in lines[first : first + 2]] == [
        "error: TrainingError: round 1 cannot be learned from: no",
        "preference is left to train on; of 12 drafts, 6 cut off",
    ]
