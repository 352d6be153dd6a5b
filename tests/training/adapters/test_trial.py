import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import openmic
from openmic.core.errors import ConfigError, OpenmicError, StudentError
from openmic.core.student_settings import StudentSettings, StudentWeights
from openmic.core.training_settings import LoRASettings
from openmic.training.adapters.trial import try_student
from openmic.training.student.student import load_student

from ... import tiny
from ..student import templates


@pytest.fixture
def folder(tiny_causal: Path, tmp_path: Path) -> Path:
    """A copy of a causal student, to be broken."""
    return Path(shutil.copytree(tiny_causal, tmp_path / "student"))


def tried(folder: Path, lora: dict[str, Any] | None = None, adapts_output: bool = True, **settings: Any) -> Any:
    student = StudentSettings(model=str(folder), **settings)
    return try_student(student, LoRASettings.model_validate(lora or {}), adapts_output=adapts_output)


def refusal(folder: Path, kind: type[OpenmicError] = StudentError, **settings: Any) -> str:
    with pytest.raises(kind) as caught:
        tried(folder, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.mark.parametrize("kind", ["causal", "seq2seq", "gpt2", "bart"])
def test_students_of_every_kind_pass(
    tiny_causal: Path, tiny_seq2seq: Path, tiny_tokenizer: Any, tmp_path: Path, kind: str
) -> None:
    folders = {"causal": tiny_causal, "seq2seq": tiny_seq2seq}
    if kind == "gpt2":
        folders[kind] = tiny.save(tiny.gpt2(tiny_tokenizer), tiny_tokenizer, tmp_path / kind)
    if kind == "bart":
        tokenizer = tiny.seq2seq_tokenizer(tiny_tokenizer)
        folders[kind] = tiny.save(tiny.bart(tokenizer), tokenizer, tmp_path / kind)
    for lora in ({}, {"last_layers": 1}, {"r": 64}):
        assert tried(folders[kind], lora).device == "meta"


def test_it_opens_as_shards_too(folder: Path) -> None:
    shards(folder)
    assert tried(folder).ends


@pytest.mark.parametrize("template", [templates.GEMMA, templates.MISTRAL, templates.QWEN3, templates.R1])
def test_templates_that_refuse_a_system_message_or_think_pass(folder: Path, template: str) -> None:
    (folder / "chat_template.jinja").write_text(template)
    assert tried(folder).ends


def test_a_template_that_refuses_everything(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(templates.REFUSES_ALL)
    assert "does not render a conversation (No.)" in refusal(folder)


@pytest.mark.parametrize("template", [" ", "{{ messages[0].role }}", "Hello.{{ eos_token }}"])
def test_a_template_that_leaves_out_what_is_said(folder: Path, template: str) -> None:
    (folder / "chat_template.jinja").write_text(template)
    assert "leaves out what is said in a conversation" in refusal(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "null"),
        ("config.json", '{"model_type": ["llama"]}'),
        ("config.json", '{"model_type": "llama", "num_attention_heads": 0}'),
        ("config.json", '{"model_type": "llama", "hidden_size": "many"}'),
        ("config.json", '{"model_type": "llama", "architectures": [1]}'),
        ("generation_config.json", "[]"),
        ("generation_config.json", '{"eos_token_id": "x"}'),
        ("generation_config.json", '{"eos_token_id": [[1]]}'),
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "[]"),
        ("tokenizer_config.json", "[]"),
        ("tokenizer_config.json", '{"eos_token": 5}'),
    ],
)
def test_files_that_say_what_they_may_not_are_told_in_one_line(folder: Path, file: str, content: str) -> None:
    (folder / file).write_text(content)
    assert str(folder) in refusal(folder) or "eos_token_id" in refusal(folder)


def test_a_student_that_never_ends(folder: Path) -> None:
    change(folder / "tokenizer_config.json", eos_token=None)
    for name in ("config.json", "generation_config.json"):
        change(folder / name, eos_token_id=None)
    assert "has no end-of-sequence token" in refusal(folder)
    change(folder / "generation_config.json", eos_token_id=[3, 4])
    assert tried(folder).ends == (3, 4)


@pytest.mark.parametrize(
    ("targets", "unknown"), [(["q_prj"], "q_prj"), (["q_proj", "w_proj"], "w_proj"), ("h.*attn", "h.*attn")]
)
def test_modules_that_the_student_does_not_have(folder: Path, targets: object, unknown: str) -> None:
    message = refusal(folder, ConfigError, lora={"target_modules": targets})
    assert (
        f"training.lora.target_modules: student.model {str(folder)!r} has no module {unknown}; name some of" in message
    )
    assert "down_proj, gate_proj, k_proj" in message


def test_the_last_layers_of_a_pattern(folder: Path) -> None:
    message = refusal(folder, ConfigError, lora={"target_modules": ".*q_proj", "last_layers": 1})
    assert "last_layers needs target_modules that are named one by one" in message


def test_an_engine_that_computes_no_adapted_output_layer(folder: Path) -> None:
    lora = {"target_modules": ["lm_head", "q_proj"]}
    assert tried(folder, lora)
    assert "the output layer 'lm_head'" in refusal(folder, ConfigError, lora=lora, adapts_output=False)
    assert tried(folder, adapts_output=False)


def shards(folder: Path) -> list[Path]:
    """Save the folder's model as several files."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="30KB")
    found = sorted(folder.glob("*.safetensors"))
    assert len(found) > 2
    return found


def _cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_weights_that_were_cut_off(folder: Path, share: float) -> None:
    _cut(folder / "model.safetensors", share)
    assert "are not whole: model.safetensors is cut off or damaged" in refusal(folder)


def test_shards_that_are_missing_or_cut_off(folder: Path) -> None:
    first, second, *_ = shards(folder)
    _cut(second, 0.9)
    assert f"{second.name} is cut off or damaged" in refusal(folder)
    second.unlink()
    assert f"{second.name} of " in refusal(folder)
    first.unlink()
    assert f"{first.name} and 1 more of " in refusal(folder)
    (folder / "model.safetensors.index.json").write_text("{")
    assert "model.safetensors.index.json cannot be read" in refusal(folder)


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "holds no weights" in refusal(folder)


def test_weights_of_another_model(folder: Path) -> None:
    change(folder / "config.json", intermediate_size=32)
    assert "do not fit its config.json" in refusal(folder)


def test_weights_that_lack_a_layer(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=3)
    message = refusal(folder)
    assert "are not whole: the tensor 'model.layers.2." in message
    assert "8 more is missing" in message


def test_pickled_weights_that_were_cut_off(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    assert tried(folder, pickled_weights=True).ends
    _cut(folder / "pytorch_model.bin", 0.9)
    assert "pytorch_model.bin is cut off" in refusal(folder, pickled_weights=True)


class Opens:
    """What runs code as soon as it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


def test_pickled_weights_are_refused_unless_they_are_named_and_their_code_never_runs(
    folder: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    weights: dict[str, Any] = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    assert tried(folder).ends  # there is safetensors too, which is what is read
    (folder / "model.safetensors").unlink()
    told = "pickled (pytorch_model.bin), a format that can hold code"
    assert told in refusal(folder)
    for load in (load_student, openmic.load_student):
        with pytest.raises(StudentError, match=re.escape(told)):
            load(str(folder), device="cpu")
    assert load_student(StudentWeights(model=str(folder), pickled_weights=True), device="cpu").ends
    torch.save({**weights, "extra": Opens(tmp_path / "ran")}, folder / "pytorch_model.bin")
    with pytest.raises(StudentError, match="hold more than numbers, and code in weights is never run"):
        openmic.load_student({"model": str(folder), "pickled_weights": True}, device="cpu")
    assert not (tmp_path / "ran").exists()
