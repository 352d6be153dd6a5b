import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.errors import StudentError
from openmic.training.engines.tiny_student import random_adapter
from openmic.training.student import student as student_module
from openmic.training.student.student import (
    accepted_inputs,
    inspect_student,
    load_student,
    resolve_device,
    student_elsewhere,
)

from ..conftest import BuildStudent


def config_folder(folder: Path, config: Any, architecture: str) -> str:
    config.architectures = [architecture]
    config.save_pretrained(folder)
    return str(folder)


def test_a_folder_with_a_decoder_is_a_causal_student(tiny_causal: Path) -> None:
    info = inspect_student(str(tiny_causal))
    assert (info.name, info.kind, info.architecture) == (str(tiny_causal), "causal", "LlamaForCausalLM")
    assert info.note == ""


def test_a_folder_with_an_encoder_and_a_decoder_is_a_seq2seq_student(tiny_seq2seq: Path) -> None:
    info = inspect_student(str(tiny_seq2seq))
    assert (info.kind, info.architecture) == ("seq2seq", "T5ForConditionalGeneration")


def test_a_packaged_name_is_known_by_its_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.gguf"
    monkeypatch.setattr(student_module, "check_packaged", lambda _: file)
    info = inspect_student("smollm2-135m-instruct")
    assert (info.kind, info.architecture) == ("causal", "LlamaForCausalLM")
    assert "4 bits" in info.note


@pytest.mark.parametrize("name", ["/no/such/folder", "./no-such-folder", "~/no-such-folder", "a/b/c"])
def test_a_missing_folder_is_refused_with_its_name_and_what_to_give_instead(name: str) -> None:
    with pytest.raises(StudentError, match="is not a folder") as caught:
        inspect_student(name)
    assert repr(os.path.expanduser(name)) in str(caught.value)  # noqa: PTH111 - a Path would drop the ./
    assert "smollm2-135m-instruct" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_file_is_no_student(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(StudentError, match="is not a folder"):
        inspect_student(str(file))


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudentError, match=r"cannot be opened .*config\.json") as caught:
        inspect_student(str(tmp_path))
    assert repr(str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_malformed_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama",')
    with pytest.raises(StudentError, match="cannot be opened"):
        inspect_student(str(tmp_path))


def test_an_unknown_model_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "abacus"}))
    with pytest.raises(StudentError, match=r"cannot be opened .*abacus"):
        inspect_student(str(tmp_path))


def test_a_hub_id_that_cannot_be_had_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StudentError, match="'openmic-tests/no-such-model' cannot be opened"):
        inspect_student("openmic-tests/no-such-model")


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "BertModel", "BertForSequenceClassification"])
def test_an_encoder_is_refused(tmp_path: Path, architecture: str) -> None:
    from transformers import BertConfig

    name = config_folder(tmp_path, BertConfig(hidden_size=32, num_hidden_layers=2), architecture)
    with pytest.raises(StudentError, match="neither a causal nor a sequence-to-sequence") as caught:
        inspect_student(name)
    assert repr(os.path.expanduser(name)) in str(caught.value)  # noqa: PTH111 - a Path would drop the ./
    assert architecture in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_decoder_that_classifies_is_refused(tmp_path: Path) -> None:
    from transformers import LlamaConfig

    name = config_folder(tmp_path, LlamaConfig(), "LlamaForSequenceClassification")
    with pytest.raises(StudentError, match="LlamaForSequenceClassification"):
        inspect_student(name)


@pytest.mark.parametrize("architecture", ["T5EncoderModel", "T5ForSequenceClassification"])
def test_the_encoder_of_a_seq2seq_model_is_refused(tmp_path: Path, architecture: str) -> None:
    from transformers import T5Config

    name = config_folder(tmp_path, T5Config(), architecture)
    with pytest.raises(StudentError, match=architecture):
        inspect_student(name)


def test_a_model_that_is_neither_text_nor_language_is_refused(tmp_path: Path) -> None:
    from transformers import ViTConfig

    name = config_folder(tmp_path, ViTConfig(), "ViTForImageClassification")
    with pytest.raises(StudentError, match="ViTForImageClassification"):
        inspect_student(name)


def test_a_loaded_student_is_ready_to_generate(tiny_causal: Path) -> None:
    student = load_student(str(tiny_causal), device="cpu")
    assert (student.kind, student.device) == ("causal", "cpu")
    assert not student.model.training
    assert {parameter.dtype for parameter in student.model.parameters()} == {torch.float32}
    assert student.tokenizer.pad_token_id == student.tokenizer.eos_token_id


def test_a_padding_token_of_its_own_is_kept(tiny_seq2seq: Path) -> None:
    student = load_student(str(tiny_seq2seq), device="cpu")
    assert student.kind == "seq2seq"
    assert student.tokenizer.pad_token == "<pad>"


def test_missing_weights_are_a_clear_error(tiny_causal: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_causal, tmp_path / "student")
    (folder / "model.safetensors").unlink()
    with pytest.raises(StudentError, match=r"the weights of student\.model .* do not load"):
        load_student(str(folder), device="cpu")


def test_cut_off_weights_are_a_clear_error(tiny_causal: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_causal, tmp_path / "student")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(StudentError, match=r"the weights of student\.model .* do not load"):
        load_student(str(folder), device="cpu")


@pytest.mark.parametrize("opened", [partial(load_student, device="cpu"), student_elsewhere])
def test_a_student_whose_texts_would_never_end_is_refused(
    tiny_causal: Path, tmp_path: Path, opened: Callable[[str], object]
) -> None:
    folder = shutil.copytree(tiny_causal, tmp_path / "student")
    ends = {"eos_token", "eos_token_id"}
    for file in folder.glob("*.json"):
        values = json.loads(file.read_text())
        file.write_text(json.dumps({key: each for key, each in values.items() if key not in ends}))
    with pytest.raises(StudentError, match=r"has no end-of-sequence token, .*set eos_token in"):
        opened(str(folder))


def test_auto_takes_what_there_is_and_a_named_device_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
    assert resolve_device("cuda:1") == "cuda:1"


def test_inputs_that_the_architecture_does_not_take_are_left_out(student: BuildStudent) -> None:
    inputs = {"input_ids": 1, "position_ids": 2}
    assert accepted_inputs(student("gpt2").model, inputs) == inputs
    assert accepted_inputs(student("t5").model, inputs) == {"input_ids": 1}


def test_inputs_are_looked_up_on_the_model_inside_an_adapter(student: BuildStudent) -> None:
    adapted = random_adapter(student("t5").model, "seq2seq", seed=1)
    assert accepted_inputs(adapted, {"input_ids": 1, "position_ids": 2}) == {"input_ids": 1}


def test_code_that_comes_with_a_model_is_not_run_and_nobody_is_asked_whether(tmp_path: Path) -> None:
    folder, mark = tmp_path / "model", tmp_path / "run"
    folder.mkdir()
    (folder / "code.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Config:\n    pass\n", encoding="utf-8")
    config = {"model_type": "own", "architectures": ["OwnForCausalLM"], "auto_map": {"AutoConfig": "code.Config"}}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(StudentError, match="contains custom code"):
        inspect_student(str(folder))
    assert not mark.exists()
