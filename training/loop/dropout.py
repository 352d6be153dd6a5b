"""Turning off a base model's own dropout while texts are compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def without_base_dropout(model: Any) -> Iterator[None]:
    """The model without any dropout but LoRA's own (`lora.dropout`), as it was again afterwards.

    A comparison with a reference, or of two texts, would else be one of noise. `eval()` would not do: gradient
    checkpointing works in training mode alone.
    """
    changed: list[tuple[nn.Module, str, float]] = []
    for name, module in model.named_modules():
        if "lora_" in name:
            continue
        # nn.Dropout has `p`; others hold a share as `dropout`, `attention_dropout` or `layerdrop`, and apply it.
        for attribute, value in list(vars(module).items()):
            rate = (attribute == "p" and isinstance(module, nn.Dropout)) or "drop" in attribute
            if rate and isinstance(value, float) and value > 0:
                changed.append((module, attribute, value))
                setattr(module, attribute, 0.0)
    try:
        yield
    finally:
        for module, attribute, value in changed:
            setattr(module, attribute, value)
