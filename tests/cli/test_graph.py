from pathlib import Path

import pytest

from .conftest import Openmic


@pytest.mark.parametrize(("machine", "node"), [("dialogue", "critique"), ("campaign", "roll_back")])
def test_draw_prints_mermaid_on_stdout(openmic: Openmic, machine: str, node: str) -> None:
    outcome = openmic("graph", "draw", machine)
    assert outcome.code == 0
    assert "graph TD" in outcome.out
    assert node in outcome.out
    assert outcome.err == ""


def test_draw_writes_the_same_to_a_file(openmic: Openmic, tmp_path: Path) -> None:
    printed = openmic("graph", "draw", "campaign").out
    outcome = openmic("graph", "draw", "campaign", "--output", "campaign.mmd")
    assert outcome.code == 0
    assert outcome.out == ""
    assert "drawn to campaign.mmd" in outcome.err
    assert (tmp_path / "campaign.mmd").read_text(encoding="utf-8") == printed.removesuffix("\n")


def test_a_place_that_cannot_be_written_is_named(openmic: Openmic) -> None:
    outcome = openmic("graph", "draw", "--output", "nowhere/campaign.mmd")
    assert outcome.code == 2
    assert "'nowhere/campaign.mmd'" in outcome.err
