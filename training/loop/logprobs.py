"""The one masked log-probability function that every objective shares."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from ..student.device import on_gpu
from ..student.student import LoadedStudent, accepted_inputs, with_cache
from ..student.tokenization import CompletionBatch, EncodedPair, collate
from .precision import Precision
from .replay import Replays
from .rows import RowBatch, collate_rows, row_logprobs


def measure(
    student: LoadedStudent,
    model: Any,
    texts: Sequence[EncodedPair],
    precision: Precision,
    *,
    share_prompts: bool = True,
    replays: Replays | None = None,
) -> tuple[Tensor, Tensor]:
    """What a model thinks of texts, computed in the way that suits its device.

    Args:
        student: The model's tokenizer, kind and device.
        model: The base model or a PEFT model around it.
        texts: B of them.
        precision: What to compute in.
        share_prompts: As for `completion_logprobs`.
        replays: Passes that were captured, for those that gradients are wanted of.

    Returns:
        As `completion_logprobs`, and the mask of completion tokens; both [B, C], where C is at least the longest.
    """
    if student.kind != "causal" or not share_prompts or not on_gpu(student.device):
        batch = collate(student, texts)
        with precision.compute():
            token = completion_logprobs(student, model, batch, share_prompts=share_prompts)
        return token, batch.completion_mask
    return measure_rows(model, collate_rows(student, texts), precision, replays, count=len(texts))


def measure_rows(
    model: Any, rows: RowBatch, precision: Precision, replays: Replays | None, *, count: int
) -> tuple[Tensor, Tensor]:
    """As `measure`, of rows that are laid out as a GPU likes them; of these the first `count` are texts."""
    token = replays(rows.parts) if replays is not None and torch.is_grad_enabled() else None
    if token is None:
        with precision.compute():
            token = row_logprobs(model, rows)
    return token[:count], rows.completion_mask[:count]


def completion_logprobs(
    student: LoadedStudent, model: Any, batch: CompletionBatch, *, share_prompts: bool = True
) -> Tensor:
    """Natural log-probability of every completion token given all before it.

    Args:
        student: Says whether the model is causal or sequence-to-sequence.
        model: The base model or a PEFT model around it.
        batch: B rows with C completion columns.
        share_prompts: Read the prompt of several completions once, where the student is causal. The result is the
            same; a model under gradient checkpointing keeps no cache in training and so cannot.

    Returns:
        [B, C] float32; 0 where `batch.completion_mask` is 0.
    """
    if student.kind == "seq2seq":
        logits = _seq2seq_logits(model, batch)
    else:
        logits = (_causal_logits_sharing_prompts if share_prompts else _causal_logits)(model, batch)
    assert logits.shape[:2] == batch.completion_ids.shape
    chosen = torch.log_softmax(logits.float(), dim=-1).gather(-1, batch.completion_ids.unsqueeze(-1)).squeeze(-1)
    return chosen * batch.completion_mask


def _causal_logits(model: Any, batch: CompletionBatch) -> Tensor:
    """[B, C, V]: column c predicts completion token c. Whole rows, each with its prompt."""
    columns = batch.completion_ids.shape[1]
    ids = torch.cat([batch.prompt_ids[batch.prompt_of], batch.completion_ids[:, :-1]], dim=1)
    mask = torch.cat([batch.prompt_mask[batch.prompt_of], batch.completion_mask[:, :-1]], dim=1)
    rows = {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": _positions(mask),
        "logits_to_keep": columns,
        "use_cache": False,
    }
    logits: Tensor = model(**accepted_inputs(model, rows)).logits[:, -columns:]
    return logits


def _causal_logits_sharing_prompts(model: Any, batch: CompletionBatch) -> Tensor:
    """[B, C, V]: column c predicts completion token c.

    Each prompt is read once, all but its last token, and its keys and values stand before every completion of it. With
    two completions for a prompt, as in every preference, that saves a quarter of the work.
    """
    width = batch.prompt_ids.shape[1] - 1
    cache = DynamicCache(config=model.config)
    if width:
        prefix = {
            "input_ids": batch.prompt_ids[:, :-1],
            "attention_mask": batch.prompt_mask[:, :-1],
            "position_ids": _positions(batch.prompt_mask)[:, :-1],
            "logits_to_keep": 1,
        }
        model(**accepted_inputs(model, with_cache(prefix, cache)))
        cache.batch_select_indices(batch.prompt_of)
    prompt_ids, prompt_mask = batch.prompt_ids[batch.prompt_of], batch.prompt_mask[batch.prompt_of]
    mask = torch.cat([prompt_mask, batch.completion_mask[:, :-1]], dim=1)
    rest = {
        "input_ids": torch.cat([prompt_ids[:, -1:], batch.completion_ids[:, :-1]], dim=1),
        "attention_mask": mask,
        "position_ids": _positions(mask)[:, width:],
    }
    logits: Tensor = model(**accepted_inputs(model, with_cache(rest, cache))).logits
    return logits


def _seq2seq_logits(model: Any, batch: CompletionBatch) -> Tensor:
    """[B, C, V]: the decoder's column c predicts completion token c."""
    # Padding is masked out of the loss, so labels may hold the pad token itself; the model shifts them to the right.
    output = model(
        input_ids=batch.prompt_ids[batch.prompt_of],
        attention_mask=batch.prompt_mask[batch.prompt_of],
        labels=batch.completion_ids,
        use_cache=False,
    )
    logits: Tensor = output.logits
    return logits


def _positions(mask: Tensor) -> Tensor:
    """Positions that count real tokens only, from 0."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)
