"""The adapter that a training trains: a new LoRA around the student, or one that was committed earlier."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from ...core.errors import AdapterError
from ...core.training_settings import LoRASettings
from ..student.student import LoadedStudent


def adapted(student: LoadedStudent, lora: LoRASettings, *, seed: int, start: Path | None = None) -> Any:
    """A PEFT model whose adapter alone is trainable.

    It wraps the student's own model, whose weights are left alone: call `unload()` to have that back. The adapter is in
    float32 whatever the student is in.

    Args:
        student: The base model.
        lora: The adapter's shape; used only without `start`.
        seed: Fixes a new adapter's initial weights.
        start: A verified adapter folder to go on from; None begins with a new adapter, which changes nothing yet.

    Raises:
        AdapterError: `start` does not fit the student.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    if start is not None:
        return _started(student, start)
    torch.manual_seed(seed)
    task_type = TaskType.CAUSAL_LM if student.kind == "causal" else TaskType.SEQ_2_SEQ_LM
    targets, layers = lora.target_modules, None
    if lora.last_layers is not None:
        # PEFT picks layers only for modules named one by one.
        targets = linear_names(student.model) if targets == "all-linear" else targets
        layers = list(range(student.model.config.num_hidden_layers))[-lora.last_layers :]
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        layers_to_transform=layers,
        task_type=task_type,
        fan_in_fan_out=any(isinstance(part, Conv1D) for part in student.model.modules()),  # GPT-2's linear layers
    )
    return get_peft_model(student.model, config)


def _started(student: LoadedStudent, start: Path) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            model = PeftModel.from_pretrained(student.model, str(start), is_trainable=True)
        except (ValueError, RuntimeError, KeyError) as error:
            raise _misfit(student, start, str(error)) from error
    # Of an adapter with weights for other modules PEFT makes a new one, and no more than warns.
    if missing := [str(one.message) for one in said if "missing adapter keys" in str(one.message).lower()]:
        raise _misfit(student, start, missing[0])
    return model


def _misfit(student: LoadedStudent, start: Path, why: str) -> AdapterError:
    why = " ".join(why.split())
    return AdapterError(
        f"the adapter in {start} does not fit the student {student.name}: {why:.200}; is it another student's?"
    )


def adapter_weights(model: Any) -> dict[str, Tensor]:
    """A copy, on the CPU, of the weights that are trained, each under `adapter.` and its name."""
    return {f"adapter.{name}": value.detach().cpu().clone() for name, value in _trained(model)}


@torch.no_grad()
def set_adapter_weights(model: Any, weights: Mapping[str, Tensor]) -> None:
    """Put weights that `adapter_weights` gave back in their places; other entries play no part."""
    for name, value in _trained(model):
        value.copy_(weights[f"adapter.{name}"])


def _trained(model: Any) -> list[tuple[str, Tensor]]:
    return [(name, value) for name, value in model.named_parameters() if value.requires_grad]


def linear_names(model: Any) -> list[str]:
    """The names that linear modules go by within a layer, the output projection left out."""
    head = model.get_output_embeddings()
    kinds = (torch.nn.Linear, Conv1D)
    linear = [name for name, part in model.named_modules() if isinstance(part, kinds) and part is not head]
    return sorted({name.rpartition(".")[2] for name in linear})
