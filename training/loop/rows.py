"""Texts as a GPU likes to read them: whole rows from the left, in few shapes, without a mask.

Nothing is padded within a row, so attention is plainly causal and goes through the flash kernel. A prompt is read for
each of its completions: one pass more of a launch-bound model costs more than its tokens. On a CPU, where tokens are
what costs, `logprobs` reads each prompt once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from ..student.device import moved
from ..student.student import LoadedStudent, accepted_inputs, with_cache
from ..student.tokenization import EncodedPair

ROWS, COLUMNS, SAID = 4, 64, 32
"""Rows, the tokens of a row, and those of its completion are rounded up to multiples of these."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """B rows of W tokens, completions of C; whatever was added has a mask of 0."""

    ids: Tensor
    """[B, W] int64: prompt and completion, then padding."""
    prompt_lengths: Tensor
    """[B] int64."""
    completion_ids: Tensor
    """[B, C] int64, padded on the right."""
    completion_mask: Tensor
    """[B, C] int64, 1 on real tokens."""

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All tensors, in their order."""
        return self.ids, self.prompt_lengths, self.completion_ids, self.completion_mask


def collate_rows(student: LoadedStudent, pairs: Sequence[EncodedPair]) -> RowBatch:
    """The pairs and what makes up the sizes, on the student's device."""
    pad = student.tokenizer.pad_token_id
    empty = EncodedPair((pad,), ())
    filled = [*pairs, *[empty] * (-len(pairs) % ROWS)]
    longest = max(pair.length for pair in pairs)
    width = max(longest, min(_up(longest, COLUMNS), student.positions or _up(longest, COLUMNS)))
    said = _up(max(len(pair.completion) for pair in pairs), SAID)
    ids = [[*pair.prompt, *pair.completion, *[pad] * (width - pair.length)] for pair in filled]
    completions = [[*pair.completion, *[pad] * (said - len(pair.completion))] for pair in filled]
    mask = [[1] * len(pair.completion) + [0] * (said - len(pair.completion)) for pair in filled]
    lengths = [len(pair.prompt) for pair in filled]
    return RowBatch(*(moved(torch.tensor(part), student.device) for part in (ids, lengths, completions, mask)))


def row_logprobs(model: Any, batch: RowBatch) -> Tensor:
    """[B, C] float32: as `completion_logprobs`. It looks at no tensor's value, so a graph can capture it."""
    count, width = batch.completion_ids.shape
    columns = torch.arange(width, device=batch.ids.device) + batch.prompt_lengths.unsqueeze(1) - 1
    columns = columns.clamp(max=batch.ids.shape[1] - 1)

    def completions_alone(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, *others = inputs
        return (hidden.gather(1, columns.unsqueeze(-1).expand(-1, -1, hidden.shape[-1])), *others)

    # The vocabulary is by far the widest layer, and most of a row is prompt.
    handle = model.get_output_embeddings().register_forward_pre_hook(completions_alone)
    try:
        logits: Tensor = model(**accepted_inputs(model, with_cache({"input_ids": batch.ids}, _Nothing()))).logits
    finally:
        handle.remove()
    assert logits.shape[:2] == (count, width)
    chosen = torch.log_softmax(logits.float(), dim=-1).gather(-1, batch.completion_ids.unsqueeze(-1)).squeeze(-1)
    return chosen * batch.completion_mask


class _Nothing(Cache):
    """Keeps nothing. Without any cache transformers looks for packed texts, and waits for the GPU."""

    def __init__(self) -> None:
        super().__init__(layers=[])

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """What came in."""
        return key_states, value_states

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Nothing came before."""
        return 0

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """A row sees itself."""
        return query_length, 0


def _up(size: int, step: int) -> int:
    return -(-max(1, size) // step) * step
