"""Reading once what the prompts of a batch have in common.

Candidates for one input share their whole prompt, and the dialogues of a run their beginning; on a CPU reading a prompt
costs as much as writing the answer. For generation by causal students; what training shares is in `logprobs`.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from ..student.student import accepted_inputs, with_cache
from ..student.tokenization import pad_left


def pad_behind_beginning(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor, int]:
    """Ids and mask, both [B, longest] int64, and the length of the beginning that all prompts share.

    A shorter prompt is padded between that beginning and its rest, so that beginnings and ends are columns of their
    own. The beginning leaves at least one token of every prompt.
    """
    columns = zip(*(prompt[:-1] for prompt in prompts), strict=False)
    shared = [column[0] for column in takewhile(lambda column: len(set(column)) == 1, columns)]
    ids, mask = pad_left([prompt[len(shared) :] for prompt in prompts], pad)
    beginning = torch.tensor(shared, dtype=ids.dtype).expand(len(prompts), -1)
    return torch.cat([beginning, ids], dim=1), torch.cat([torch.ones_like(beginning), mask], dim=1), len(shared)


def shared_prefill(model: Any, ids: Tensor, mask: Tensor, beginning: int = 0) -> DynamicCache | None:
    """Keys and values of all prompt tokens but the last; what rows share is computed once.

    Args:
        model: A causal model, with or without adapters around it.
        ids: [B, P] int64; whatever is padded is so before the last column.
        mask: [B, P] int64, 1 on real tokens.
        beginning: The first so many columns are the same in all rows, and not padded.

    Returns:
        A cache of B rows and P - 1 columns; None where no row shares anything.
    """
    unique, which = torch.unique(ids, dim=0, return_inverse=True)
    if len(ids) == 1 or (len(unique) == len(ids) and not beginning) or ids.shape[1] < 2:
        return None
    first = torch.stack([(which == group).nonzero()[0, 0] for group in range(len(unique))])
    seen = mask[first]
    at = (seen.cumsum(dim=1) - 1).clamp(min=0)
    cache, read = DynamicCache(config=model.config), 0
    if len(unique) > 1 and beginning:
        _read(model, unique[:1, :beginning], seen[:1, :beginning], at[:1, :beginning], cache)
        cache.batch_repeat_interleave(len(unique))
        read = beginning
    if read < ids.shape[1] - 1:
        _read(model, unique[:, read:-1], seen[:, :-1], at[:, read:-1], cache)
    cache.batch_select_indices(which)
    return cache


def _read(model: Any, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache) -> None:
    inputs = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, "logits_to_keep": 1}
    model(**accepted_inputs(model, with_cache(inputs, cache)))
