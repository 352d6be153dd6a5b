"""The cards beside the adapters of a finished run: all that the run came to, and no path of the machine."""

import json
from pathlib import Path

import pytest
import yaml

from openmic.core.config import saved_config
from openmic.core.records import AdapterRef
from openmic.graph.model_card import write_cards
from openmic.store import Adapter, Store
from openmic.training.adapters.adapters import CARD, verify_adapter

from ..whole_run import WholeRun, finished_run


@pytest.fixture(scope="module")
def run(tiny_causal: Path) -> WholeRun:
    return finished_run(tiny_causal)


def test_every_adapter_of_a_run_has_a_card_with_its_figures_and_stays_as_it_was_committed(run: WholeRun) -> None:
    versions = [version for version in run.status["versions"] if version["version"]]
    assert versions
    for version in versions:
        folder = Path(version["adapter_path"])
        card = (folder / CARD).read_text(encoding="utf-8")
        head = yaml.safe_load(card.removeprefix("---\n").partition("\n---\n")[0])
        assert head["base_model"] == "tiny-causal"
        assert "simulated" in head["tags"]
        assert "Figures of the simulated cast" in card
        assert f"| v{version['version']} | {version['stage']} | {version['n']} |" in card
        low, high = version["ci"]
        assert f"{low:.1%} to {high:.1%}" in card
        for path in folder.iterdir():
            if path.suffix != ".safetensors":
                assert str(run.folder) not in path.read_text(encoding="utf-8")
                assert str(Path.home()) not in path.read_text(encoding="utf-8")
        prompts = json.loads((folder / "prompts.json").read_text())
        assert (prompts["task"], prompts["sampling"]["max_tokens"]) == ("humor", 16)
        verify_adapter(AdapterRef(version["version"], str(folder)))
    gain = run.status["gain"]
    if gain is not None:
        assert f"{gain['value']:+.1%} (95% interval {gain['ci'][0]:+.1%} to {gain['ci'][1]:+.1%})" in card


def test_a_card_that_cannot_be_written_is_told_and_nothing_fails(
    run: WholeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    with Store.open_readonly(run.store) as store:
        row = store.resolve_run("latest")
        count = sum(adapter.uri is not None for adapter in store.select(Adapter, run_id=row.id))
        monkeypatch.setattr(store, "located", lambda place: str(tmp_path / "gone" / Path(place).name))
        write_cards(store, row, saved_config(row), told.append)
    assert len(told) == count
    assert all("was not written" in line for line in told)
