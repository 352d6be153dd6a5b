import re
from typing import Any

import pytest
import torch

from openmic.core.training_settings import LoRASettings
from openmic.training.adapters.lora import adapted, adapter_weights, set_adapter_weights

from ..conftest import BuildStudent

EVERY_STUDENT = pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])


def trained(model: Any) -> dict[str, torch.Tensor]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


@EVERY_STUDENT
def test_the_adapter_alone_is_trained_and_says_nothing_yet(student: BuildStudent, name: str) -> None:
    model = adapted(student(name), LoRASettings(r=2), seed=1)
    assert trained(model)
    assert all("lora_" in name for name in trained(model))
    assert not any(value.any() for name, value in trained(model).items() if "lora_B" in name)


@EVERY_STUDENT
def test_the_last_layers_alone_can_be_adapted(student: BuildStudent, name: str) -> None:
    everywhere = trained(adapted(student(name), LoRASettings(r=2), seed=1))
    last = trained(adapted(student(name), LoRASettings(r=2, last_layers=1), seed=1))
    assert last
    assert last.keys() == {path for path in everywhere if re.findall(r"\.(\d+)\.", path)[0] == "1"}


def test_the_seed_fixes_the_weights(student: BuildStudent) -> None:
    first, second, other = (
        adapter_weights(adapted(student("llama"), LoRASettings(r=2), seed=seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


def test_weights_that_were_copied_can_be_put_back(student: BuildStudent) -> None:
    model = adapted(student("llama"), LoRASettings(r=2), seed=1)
    before = adapter_weights(model)
    with torch.no_grad():
        for value in trained(model).values():
            value.add_(1)
    assert not any(torch.equal(value, before[name]) for name, value in adapter_weights(model).items())
    set_adapter_weights(model, before | {"others": torch.zeros(1)})
    assert all(torch.equal(value, before[name]) for name, value in adapter_weights(model).items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_adapter_is_in_float32_whatever_the_student_is_in(student: BuildStudent, dtype: torch.dtype) -> None:
    one = student("llama")
    one.model.to(dtype)
    model = adapted(one, LoRASettings(r=2), seed=1)
    assert {value.dtype for value in trained(model).values()} == {torch.float32}
