"""`openmic compare` over a small store of two runs."""

import json
from pathlib import Path

import pytest

from openmic.store import Run, Store

from ...store.judged import judged_run
from ...store.rows import example
from ..conftest import Openmic


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = str(tmp_path / "two.db")
    with Store.open(path) as opened:
        opened.add(*(example(id=f"in{place}", text=f"input {place}") for place in range(4)))
        judged_run(opened, "ONE", "dpo", "llll")
        judged_run(opened, "TWO", "simpo", "wwwl")
    return path


def test_runs_are_compared_as_a_table_as_json_and_as_a_page(openmic: Openmic, store: str, tmp_path: Path) -> None:
    shown = openmic("compare", "one", "TWO", "--store", store)
    assert shown.code == 0, shown.err
    assert "B against A: " in shown.out
    assert "+75.0% in win-tie rate (95% interval " in shown.out
    assert '| training.objective | "dpo" | "simpo" |' in shown.out
    assert (
        "Input: input 0\n\n|  | output | before the judge |\n| --- | --- | --- |\n| teacher | ONE-0 1 | " in shown.out
    )
    assert "| A | ONE-0 0 | loss |\n| B | TWO-0 0 | win |" in shown.out
    found = json.loads(openmic("compare", "ONE", "TWO", "--json", "--store", store).out)
    assert found["gains"][0]["value"] == pytest.approx(0.75)
    page = tmp_path / "out" / "compared.html"
    assert openmic("compare", "ONE", "TWO", "--store", store, "--out", str(page)).code == 0
    assert page.read_text(encoding="utf-8").count('<circle class="point') == 2


def test_trainings_on_another_seeds_transcripts_are_one_group(openmic: Openmic, store: str) -> None:
    with Store.open(store) as opened:
        for seed, source in ((1, "ONE"), (2, "TWO")):
            opened.update(Run, source, name="paper/DPO")
            judged_run(opened, f"SFT{seed}", "sft", "wwll", seed)
            opened.update(Run, f"SFT{seed}", kind="train", source_run_id=source)
    found = json.loads(openmic("compare", "ONE", "SFT1", "SFT2", "--json", "--store", store).out)
    assert [[run["run"] for run in group["runs"]] for group in found["groups"]] == [["ONE"], ["SFT1", "SFT2"]]
    assert found["differences"]["kind"] == ["campaign", "train of paper/DPO"]
    assert [len(sample["outputs"]) for sample in found["samples"]] == [2, 2, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["ONE"], "takes two runs or more"),
        (["ONE", "one"], "run ONE is named twice"),
        (["ONE", "nope"], "no run goes by 'nope'"),
        (["ONE", "TWO", "--json", "--format", "html"], "--json and --format html are two formats"),
        (["ONE", "TWO", "--out", "x.txt"], "what is written is said by"),
    ],
)
def test_what_cannot_be_compared_is_said(openmic: Openmic, store: str, given: list[str], said: str) -> None:
    outcome = openmic("compare", *given, "--store", store)
    assert outcome.code == 2
    assert said in outcome.err
