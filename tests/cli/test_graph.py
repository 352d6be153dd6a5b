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


def test_draw_draws_a_picture_beside(openmic: Openmic, tmp_path: Path) -> None:
    outcome = openmic("graph", "draw", "--output", "machine.svg")
    assert outcome.code == 0
    assert "roll_back" in outcome.out
    assert "drawn to machine.svg" in outcome.err
    assert "<svg" in (tmp_path / "machine.svg").read_text(encoding="utf-8")


def test_a_picture_with_another_ending_is_refused(openmic: Openmic, tmp_path: Path) -> None:
    outcome = openmic("graph", "draw", "--output", "machine.bmp")
    assert outcome.code == 2
    assert "'machine.bmp'" in outcome.err
    assert ".svg" in outcome.err
    assert list(tmp_path.iterdir()) == []
