import json
from pathlib import Path

import pytest

from ..whole_run import write_config
from .conftest import Openmic


@pytest.fixture
def config(tmp_path: Path, tiny_causal: Path) -> Path:
    return write_config(tmp_path, tiny_causal)


def test_a_dry_run_prints_the_plan_and_writes_nothing(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    outcome = openmic("run", str(config), "--dry-run")
    assert outcome.code == 0
    assert "nothing was started" in outcome.out
    assert "16 train, 5 dev, 3 test" in outcome.out
    assert "teacher: simulated" in outcome.out
    assert sorted(tmp_path.rglob("*")) == before


def test_the_plan_counts_every_call_at_most(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    outcome = openmic("run", str(config), "--dry-run", "--json", "--set", "rounds=2")
    plan = json.loads(outcome.out)
    assert plan["inputs"] == {"train": 16, "dev": 5, "test": 3}
    # 16 + 2 dev + 3 test inputs demonstrated, and 6 dialogues a round that may come to the teacher
    assert plan["calls_at_most"]["teacher"] == 16 + 2 + 3 + 2 * 6
    # a comparison is two calls; a revision is a critique and another comparison
    assert plan["calls_at_most"]["critic"] == 2 * 6 * (2 + 3)
    assert plan["student"]["kind"] == "causal"
    assert not (tmp_path / "openmic-data").exists()


def test_a_sequence_to_sequence_student_is_told_apart(openmic: Openmic, tmp_path: Path, tiny_seq2seq: Path) -> None:
    outcome = openmic("run", str(write_config(tmp_path, tiny_seq2seq)), "--dry-run", "--json")
    assert json.loads(outcome.out)["student"]["kind"] == "seq2seq"
