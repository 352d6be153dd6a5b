"""Which weights a student has: a hub's revision, a number format, 4 bits, and code of its own."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, constants

import openmic
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError, StudentError
from openmic.core.records import NO_ADAPTER
from openmic.core.student_settings import StudentSettings, StudentWeights
from openmic.core.training_settings import LoRASettings
from openmic.graph.runs.provenance import pinned
from openmic.training.adapters.trial import try_student
from openmic.training.engines.choose import make_engine
from openmic.training.engines.conformance import scenario
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.tiny_student import llama, save
from openmic.training.student import hub
from openmic.training.student.student import inspect_student, load_student, student_elsewhere
from openmic.training.trainer.actor import TrainerWorker

from ..factories import request
from ..jobs import job_of
from .local_hub import REPOSITORY, serving

OLD, NEW = "1" * 40, "2" * 40
HAS_BITSANDBYTES = find_spec("bitsandbytes") is not None


@pytest.fixture
def names(tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What the names of a hub's two commits mean; the newer of them has other positions."""
    newer = shutil.copytree(tiny_causal, tmp_path / "newer")
    config = json.loads((newer / "config.json").read_text())
    (newer / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 333}))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "_asked", {})
    meant = {"main": OLD, "v2": NEW}
    with serving({OLD: tiny_causal, NEW: newer}, meant) as (address, _):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", address)
        monkeypatch.setattr("transformers.utils.hub.hf_api", lambda *_, **__: HfApi(endpoint=address))
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        yield meant


def test_a_revision_of_a_hub_is_what_is_opened_and_its_commit_is_known(names: dict[str, str]) -> None:
    assert inspect_student(REPOSITORY).revision == OLD
    newer = StudentWeights(model=REPOSITORY, revision="v2")
    assert inspect_student(newer).revision == NEW
    assert student_elsewhere(newer).positions == 333
    loaded = load_student(newer, device="cpu")
    assert loaded.model.config.max_position_embeddings == 333
    assert load_student(REPOSITORY, device="cpu").positions != 333
    assert try_student(StudentSettings(model=REPOSITORY, revision="v2"), LoRASettings()).positions == 333
    with pytest.raises(StudentError, match=r"'somebody/tiny' cannot be opened \(revision v3: ") as caught:
        inspect_student(StudentWeights(model=REPOSITORY, revision="v3"))
    assert "\n" not in str(caught.value)


def test_a_run_stays_with_the_commit_that_it_began_with(names: dict[str, str]) -> None:
    config = RunConfig.model_validate({"inputs": {"path": "x.txt"}, "student": {"model": REPOSITORY}})
    kept = pinned(config, inspect_student(config.student))
    names["main"] = NEW
    assert inspect_student(config.student).revision == NEW
    assert inspect_student(kept.student).revision == OLD
    assert kept.student.full_name == f"{REPOSITORY}@{OLD}"
    assert pinned(kept, inspect_student(kept.student)) is kept


def test_a_folder_and_a_packaged_name_have_no_revisions(tiny_causal: Path) -> None:
    with pytest.raises(StudentError, match=r"student\.revision='v2' is for hub ids, and .* is a folder; leave it out"):
        inspect_student(StudentWeights(model=str(tiny_causal), revision="v2"))
    with pytest.raises(StudentError, match="is a packaged name; leave it out"):
        inspect_student(StudentWeights(revision="v2"))
    config = RunConfig.model_validate({"inputs": {"path": "x.txt"}, "student": {"model": str(tiny_causal)}})
    assert pinned(config, inspect_student(config.student)) is config


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_weights_are_kept_in_the_format_that_is_named(tiny_causal: Path, name: str) -> None:
    student = load_student(StudentWeights.model_validate({"model": str(tiny_causal), "dtype": name}), device="cpu")
    assert {parameter.dtype for parameter in student.model.parameters()} == {getattr(torch, name)}


@pytest.mark.parametrize("engine", ["static", "slots", "continuous"])
def test_engines_generate_in_the_format_that_is_named(tiny_causal: Path, engine: str) -> None:
    settings = StudentSettings(model=str(tiny_causal), device="cpu", dtype="bfloat16", engine=engine)

    @scenario(lambda: make_engine(settings, threads=1))
    async def test(engine: StudentEngine) -> None:
        assert (await engine.generate(request())).token_ids


@pytest.mark.parametrize(
    "change", [{"revision": "x"}, {"dtype": "bfloat16"}, {"quantization": "4bit"}, {"trust_remote_code": True}]
)
def test_a_training_of_other_weights_is_another_one(tiny_causal: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    job, weights = job_of(tiny_causal, tmp_path), StudentWeights(model=str(tiny_causal))
    assert job.key == replace(job, student=weights).key
    assert job.key != replace(job, student=weights.model_copy(update=change)).key


def test_bfloat16_weights_are_trained_around(tiny_causal: Path, tmp_path: Path) -> None:
    weights = StudentWeights(model=str(tiny_causal), dtype="bfloat16")
    made = TrainerWorker(1).train(replace(job_of(tiny_causal, tmp_path), student=weights))
    assert made is not None
    assert made[1].steps > 0


OWN = """
from transformers import LlamaConfig, LlamaForCausalLM

with open({mark!r}, "a") as file:
    file.write("run")


class Config(LlamaConfig):
    model_type = "own"


class OwnForCausalLM(LlamaForCausalLM):
    config_class = Config
"""


@pytest.fixture
def own_code(tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model's folder with code in it, which leaves a mark beside it when it is run."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = shutil.copytree(tiny_causal, tmp_path / "own")
    (folder / "code.py").write_text(OWN.format(mark=str(tmp_path / "mark")), encoding="utf-8")
    config = json.loads((folder / "config.json").read_text())
    given = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.OwnForCausalLM"}
    config |= {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": given}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_code_that_comes_with_a_model_is_run_where_it_is_trusted_alone(
    own_code: Path, tiny_causal: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudentError, match=r"contains custom code .*\. Set student\.trust_remote_code if you trust"):
        inspect_student(str(own_code))
    assert not (tmp_path / "mark").exists()
    settings = StudentSettings(model=str(own_code), device="cpu", trust_remote_code=True)
    info = inspect_student(settings)
    assert (info.kind, info.architecture, info.own_code) == ("causal", "OwnForCausalLM", True)
    assert try_student(settings, LoRASettings()).ends
    with openmic.load_student({"model": str(own_code), "trust_remote_code": True}, device="cpu") as student:
        said = student("Say something.", temperature=0.0)
    with openmic.load_student(str(tiny_causal), device="cpu") as known:
        assert said == known("Say something.", temperature=0.0)


def test_code_that_fails_is_said_to(own_code: Path) -> None:
    (own_code / "code.py").write_text("raise KeyError('no such thing')\n", encoding="utf-8")
    with pytest.raises(StudentError, match=r"cannot be opened .*no such thing"):
        inspect_student(StudentWeights(model=str(own_code), trust_remote_code=True))


@pytest.mark.skipif(HAS_BITSANDBYTES, reason="bitsandbytes is installed")
def test_without_bitsandbytes_4_bits_are_refused_in_one_line(tiny_causal: Path) -> None:
    settings = StudentSettings(model=str(tiny_causal), device="cpu", quantization="4bit")
    for refused in (lambda: try_student(settings, LoRASettings()), lambda: load_student(settings, device="cpu")):
        with pytest.raises(ConfigError, match=r"needs bitsandbytes, .*pip install 'openmic\[quantization\]'") as caught:
            refused()
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not HAS_BITSANDBYTES, reason="bitsandbytes is not installed: the extra `quantization`")
@pytest.mark.parametrize("engine", ["static", "slots", "continuous"])
def test_an_adapter_is_trained_around_4_bits_and_generates(tiny_tokenizer: Any, tmp_path: Path, engine: str) -> None:
    # bitsandbytes packs blocks of 64 weights on a CPU, which the other tiny students are too narrow for.
    folder = save(llama(tiny_tokenizer, hidden_size=128, intermediate_size=256), tiny_tokenizer, tmp_path / "wide")
    settings = StudentSettings(model=str(folder), device="cpu", quantization="4bit", engine=engine)
    loaded = load_student(settings, device="cpu")
    kept = {name.rpartition(".")[2] for name, part in loaded.model.named_modules() if "4bit" in type(part).__name__}
    assert {"q_proj", "down_proj"} <= kept
    job = replace(job_of(folder, tmp_path, learning_rate=1e-1), student=settings.weights)
    made = TrainerWorker(1).train(job)
    assert made is not None

    async def said(engine: StudentEngine, version: int) -> tuple[int, ...]:
        return (await engine.generate(request(temperature=0.0, adapter=version))).token_ids

    @scenario(lambda: make_engine(settings, threads=1))
    async def test(engine: StudentEngine) -> None:
        before = await said(engine, NO_ADAPTER.version)
        await engine.load(made[0])
        assert await said(engine, made[0].version) != before
