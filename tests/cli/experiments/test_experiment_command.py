"""`openmic experiment`, `report` and `critic-card` before anything is begun: what is named, and where it is written."""

from pathlib import Path

import pytest

from openmic.cli.experiments.experiment import not_done
from openmic.core.files.examples import example_names

from ..conftest import Openmic


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["experiment"], "no experiment is given; give a file, or --example with one of biased_critic"),
        (["experiment", "x.yaml", "--example", "paper_table"], "two experiments are given"),
        (["experiment", "--example", "humor"], "it is one for `openmic run --example humor`"),
        (["experiment", "nowhere.yaml"], "there is no experiment file "),
        (["run", "--example", "paper_table"], "it is one for `openmic experiment --example paper_table`"),
        (["experiment", "--example", "biased_critic", "--out", "taken/below"], "--out 'taken/below' cannot be written"),
        (["report", "latest", "--json", "--format", "html"], "--json and --format html are two formats"),
    ],
)
def test_what_cannot_be_meant_or_written_is_said_beforehand(
    openmic: Openmic, tmp_path: Path, given: list[str], said: str
) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    outcome = openmic(*given)
    assert outcome.code == 2
    assert said in outcome.err


def test_a_card_that_cannot_be_written_asks_nobody(openmic: Openmic, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("first,second,label\na,b,1\n", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    outcome = openmic("critic-card", "pairs.csv", "--critic", "words", "--html", "folder")
    assert outcome.code == 2
    assert "cannot be written: it is a folder" in outcome.err


def test_experiments_and_configurations_that_ship_are_told_apart() -> None:
    assert "paper_table" in example_names(experiments=True)
    assert not set(example_names()) & set(example_names(experiments=True))


def test_what_is_left_and_what_failed_is_said_with_the_seeds_that_do_it() -> None:
    cells = {("DPO", 1): "left", ("SD", 1): "failed", ("DPO", 2): "left", ("SD", 3): "failed", ("DPO", 4): "left"}
    found = {"failed": [{"arm": arm, "seed": seed, "state": state} for (arm, seed), state in cells.items()]}
    assert list(not_done(found, [2])) == [
        ("the table is not whole yet: seeds 1, 4 left to be done, unless another process is at it:", [1, 4]),
        ("failed: SD (seed 1), DPO (seed 2), SD (seed 3); to try again:", [1, 2, 3]),
    ]
    only_failed = {"failed": [{"arm": f"arm {place}", "seed": 1, "state": "failed"} for place in range(9)]}
    [(told, seeds)] = not_done(only_failed, [2])
    assert told.endswith("arm 4 (seed 1), arm 5 (seed 1) and 3 more; to try again:")
    assert seeds == [1]
    assert list(not_done({"failed": []}, [1])) == []
