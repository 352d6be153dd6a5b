"""`openmic model push` of the one finished run to a hub on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ...whole_run import WholeRun
from ..conftest import Openmic
from .uploads import TOKEN, Hub, taking_uploads

# What huggingface_hub hands its own client.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    from huggingface_hub import constants

    with taking_uploads() as opened:
        monkeypatch.setattr(constants, "ENDPOINT", opened.address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # large files go over LFS, which this hub takes
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", opened.address)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield opened


def test_an_adapter_is_pushed_with_its_card_to_a_private_repository(
    of_run: Openmic, run: WholeRun, hub: Hub, tmp_path: Path
) -> None:
    done = of_run("model", "push", "latest", "me/humor", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["url"] == f"{hub.address}/me/humor"
    assert said["private"] is hub.private["me/humor"] is True
    files = hub.files["me/humor"]
    folder = Path(run.status["adapter_path"])
    assert files["adapter_model.safetensors"] == (folder / "adapter_model.safetensors").read_bytes()
    assert set(files) >= {"README.md", "prompts.json", "adapter_config.json", "manifest.json"}
    card = files["README.md"].decode()
    assert "from_pretrained('me/humor')" in card
    assert str(run.folder) not in b"".join(files.values()).decode(errors="replace")
    assert [one["title"] for one in hub.commits] == [f"openmic: run {run.status['run']}, v{said['version']}, adapter"]
    again = of_run("model", "push", "latest:v1", "me/humor", "--to", "merged", "--verify", "2")
    assert again.code == 0, again.err
    assert "private" in again.out
    assert "2 of 2 outputs are alike" in again.out
    assert "model.safetensors" in hub.files["me/humor"]


def test_a_push_takes_the_place_of_the_last_one_and_of_nothing_else(of_run: Openmic, hub: Hub) -> None:
    assert of_run("model", "push", "latest", "me/humor").code == 0
    files = hub.files["me/humor"]
    adapter = set(files)
    others = {".gitattributes", "notes.md", "samples/[1].txt", "tokenizer.model", "adapter_model.safetensors.bak"}
    files.update(dict.fromkeys(others, b"mine"))
    merged = of_run("model", "push", "latest", "me/humor", "--to", "merged", "--verify", "0", "--json")
    assert merged.code == 0, merged.err
    weights = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    shared = {"README.md", "prompts.json"}
    assert set(files) - {"chat_template.jinja"} == weights | shared | others
    gone = adapter - set(files)
    assert gone >= {"adapter_config.json", "adapter_model.safetensors", "manifest.json"}
    assert json.loads(merged.out)["removed"] == sorted(gone)
    assert f"does not: {', '.join(sorted(gone))}" in " ".join(merged.err.split())
    # What somebody has put there since under a name that no push has now is theirs.
    hub.commits.insert(0, {**hub.commits[0], "title": "Upload manifest.json", "message": ""})
    files["manifest.json"] = b"{}"
    del files["generation_config.json"]
    again = of_run("model", "push", "latest", "me/humor", "--to", "merged", "--verify", "0", "--json")
    assert json.loads(again.out)["removed"] == []
    assert set(files) - {"chat_template.jinja"} == weights | shared | others | {"manifest.json"}
    assert of_run("model", "push", "latest", "me/humor").code == 0
    assert set(files) == adapter | others
    assert len(hub.commits) == 5, "each push is one commit"


def test_what_is_public_stays_unwritten_unless_that_is_wanted(of_run: Openmic, hub: Hub) -> None:
    hub.private["me/open"], hub.files["me/open"] = False, {}
    refused = of_run("model", "push", "latest", "me/open")
    assert (refused.code, hub.files["me/open"]) == (2, {})
    assert "give --public" in refused.err
    assert of_run("model", "push", "latest", "me/open", "--public").code == 0
    assert hub.files["me/open"]


@pytest.mark.parametrize(
    ("token", "repo", "told"),
    [
        ("hf_wrong", "me/humor", "HTTP 401"),
        ("", "me/humor", "set HF_TOKEN"),
        (TOKEN, "others/humor", "HTTP 403"),
        (TOKEN, "no id/at/all", "is no hub id"),
    ],
)
def test_what_the_hub_refuses_is_told(
    of_run: Openmic, hub: Hub, token: str, repo: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    refused = of_run("model", "push", "latest", repo)
    assert refused.code == 2, refused.err
    assert told in " ".join(refused.err.split())
    assert hub.commits == []


def test_a_hub_that_is_not_there_is_told_before_anything_is_made(
    of_run: Openmic, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    refused = of_run("model", "push", "latest", "me/humor")
    assert refused.code == 2
    assert "cannot be reached" in refused.err
