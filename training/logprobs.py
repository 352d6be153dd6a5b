"""The one masked log-probability function that every objective shares."""

import inspect
from typing import Any

import torch
from torch import Tensor

from .student import LoadedStudent
from .tokenization import CompletionBatch


def completion_logprobs(student: LoadedStudent, model: Any, batch: CompletionBatch) -> Tensor:
    """Natural log-probability of every completion token given all before it.

    Args:
        student: Says whether the model is causal or sequence-to-sequence.
        model: The base model or a PEFT model around it.
        batch: B rows with C completion columns.

    Returns:
        [B, C] float32; 0 where `batch.completion_mask` is 0.
    """
    logits = _causal_logits(model, batch) if student.kind == "causal" else _seq2seq_logits(model, batch)
    assert logits.shape[:2] == batch.completion_ids.shape
    chosen = torch.log_softmax(logits.float(), dim=-1).gather(-1, batch.completion_ids.unsqueeze(-1)).squeeze(-1)
    return chosen * batch.completion_mask


def _causal_logits(model: Any, batch: CompletionBatch) -> Tensor:
    """[B, C, V]: column c predicts completion token c."""
    ids = torch.cat([batch.prompt_ids, batch.completion_ids], dim=1)
    mask = torch.cat([batch.prompt_mask, batch.completion_mask], dim=1)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    width = batch.completion_ids.shape[1]
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "use_cache": False}
    accepted = inspect.signature(_forward_of(model)).parameters
    if "position_ids" in accepted:
        inputs["position_ids"] = positions
    if "logits_to_keep" in accepted:  # the vocabulary projection is a fifth of a small model's work
        inputs["logits_to_keep"] = width + 1
    logits: Tensor = model(**inputs).logits
    return logits[:, -width - 1 : -1]


def _seq2seq_logits(model: Any, batch: CompletionBatch) -> Tensor:
    """[B, C, V]: the decoder's column c predicts completion token c."""
    # Padding is masked out of the loss, so labels may hold the pad token itself; the model shifts them to the right.
    output = model(input_ids=batch.prompt_ids, attention_mask=batch.prompt_mask, labels=batch.completion_ids)
    logits: Tensor = output.logits
    return logits


def _forward_of(model: Any) -> Any:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return base.forward
