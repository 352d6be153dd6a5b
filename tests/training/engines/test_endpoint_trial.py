from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import ConfigError
from openmic.core.student_settings import StudentSettings
from openmic.core.training_settings import LoRASettings
from openmic.training.engines.endpoint_trial import try_student_endpoint

from ..conftest import BuildStudent
from .student_server import StudentServer


@pytest.fixture
def server(student: BuildStudent) -> Iterator[StudentServer]:
    with StudentServer(student("llama")) as running:
        yield running


def tried(running: StudentServer, student: Path, folder: Path, /, **endpoint: Any) -> None:
    values = {"base_url": running.base_url, "model": "tiny"} | endpoint
    settings = StudentSettings.model_validate({"model": str(student), "engine": "endpoint", "endpoint": values})
    try_student_endpoint(settings, LoRASettings(r=4), folder)


def refusal(running: StudentServer, student: Path, folder: Path, /, **endpoint: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        tried(running, student, folder, **endpoint)
    assert list(folder.iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_a_server_that_takes_adapters_is_fine_and_nothing_is_left_behind(
    server: StudentServer, tiny_causal: Path, tmp_path: Path, kind: str
) -> None:
    tried(server, tiny_causal, tmp_path, server=kind)
    assert list(tmp_path.iterdir()) == []
    assert server.adapters == {}
    loads = [body for path, body in server.calls if path.endswith("/load_lora_adapter")]
    assert len(loads) == 1
    assert loads[0]["lora_path"].startswith(str(tmp_path))


def test_a_server_that_takes_no_adapters(server: StudentServer, tiny_causal: Path, tmp_path: Path) -> None:
    server.takes_adapters = False
    message = refusal(server, tiny_causal, tmp_path)
    assert f"{server.base_url} takes no adapter at run time (HTTP 404: " in message
    assert "--enable-lora, --max-lora-rank of 4 or more" in message
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in message
    assert "SGLang has to be started with" in refusal(server, tiny_causal, tmp_path, server="sglang")


def test_an_adapter_that_the_servers_model_does_not_take(
    server: StudentServer, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    from ... import tiny

    other = tiny.save(tiny.llama(tiny_tokenizer, hidden_size=48), tiny_tokenizer, tmp_path / "other")
    folder = tmp_path / "adapters"
    folder.mkdir()
    assert "takes no adapter at run time (HTTP 400: " in refusal(server, other, folder)


def test_a_model_that_the_server_does_not_have(server: StudentServer, tiny_causal: Path, tmp_path: Path) -> None:
    message = refusal(server, tiny_causal, tmp_path, model="tyni")
    assert message.startswith("student.endpoint.model: the student's server")
    assert "has no model 'tyni'; it has tiny; set it to the name of the base model there" in message


@pytest.mark.parametrize("ending", ["", "/v1/completions"])
def test_an_address_that_is_not_the_base(server: StudentServer, tiny_causal: Path, tmp_path: Path, ending: str) -> None:
    wrong = server.base_url.removesuffix("/v1") + ending
    message = refusal(server, tiny_causal, tmp_path, base_url=wrong)
    assert f"student.endpoint.base_url: {wrong} has no completions" in message
    assert f"{server.base_url} does: set it to that" in message


def test_a_server_that_is_not_there(server: StudentServer, tiny_causal: Path, tmp_path: Path) -> None:
    message = refusal(server, tiny_causal, tmp_path, base_url="http://127.0.0.1:9/v1")
    assert "the student's server http://127.0.0.1:9/v1 cannot be reached (" in message
    assert "refused" in message


def test_a_key_that_is_wanted(
    server: StudentServer, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "sk-right"
    assert "the key in the environment variable OPENMIC_STUDENT_API_KEY (HTTP 401" in refusal(
        server, tiny_causal, tmp_path
    )
    monkeypatch.setenv("OPENMIC_STUDENT_API_KEY", "sk-right")
    tried(server, tiny_causal, tmp_path)


def test_a_server_that_sends_elsewhere(server: StudentServer, tiny_causal: Path, tmp_path: Path) -> None:
    server.moved_to = "http://127.0.0.1:9"
    message = refusal(server, tiny_causal, tmp_path)
    assert "it sends requests on to http://127.0.0.1:9, which gets neither prompts nor keys; set base_url to" in message
