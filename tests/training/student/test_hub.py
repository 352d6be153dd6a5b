"""A hub that does not answer: said within seconds, and what is in the cache is used."""

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from openmic.core.errors import ConfigError, StudentError
from openmic.training.scoring.classifier import ClassifierSettings, inspect_classifier
from openmic.training.student import hub
from openmic.training.student.student import inspect_student


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@pytest.fixture(autouse=True)
def cache(nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of models beside a silent hub."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", nobody)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "ANSWER_S", 0.3)
    monkeypatch.setattr(hub, "_asked", {})
    return tmp_path / "cache"


@pytest.mark.parametrize("reason", ["silent", "closed"])
def test_a_hub_that_cannot_be_reached_is_said_at_once(
    nobody: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason == "closed":
        monkeypatch.setattr(constants, "ENDPOINT", nobody := "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(StudentError) as caught:
        inspect_student("somebody/small-model")
    assert time.monotonic() - began < 20  # it was over half a minute, and most of this is imports
    message = str(caught.value)
    assert f"the hub {nobody} cannot be reached" in message
    assert "the model is not in the cache" in message
    assert "\n" not in message
    with pytest.raises(ConfigError, match="cannot be reached"):
        inspect_classifier(ClassifierSettings("somebody/reward", "cpu", 1, 64, None, False, None))


def test_a_proxy_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.example")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    with pytest.raises(StudentError, match=r"`pip install socksio`.*put hub\.example into NO_PROXY"):
        inspect_student("somebody/small-model")


def test_what_is_in_the_cache_needs_no_hub(cache: Path, tiny_causal: Path) -> None:
    repository = cache / "models--somebody--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(tiny_causal, repository / "snapshots" / ("0" * 40))
    assert inspect_student("somebody/tiny").kind == "causal"


def test_a_folder_asks_no_hub(tiny_causal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_ask", lambda address: pytest.fail(f"{address} was asked"))
    assert inspect_student(str(tiny_causal)).kind == "causal"


def test_a_hub_that_is_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "REMEMBERED_S", 0.0)
    assert "cannot be reached" in hub.prepare_hub("somebody/small-model")
    assert constants.HF_HUB_OFFLINE
    monkeypatch.setattr(hub, "_ask", lambda _: "")
    assert hub.prepare_hub("somebody/small-model") == ""
    assert not constants.HF_HUB_OFFLINE
