"""Reading a prompt once for all rows of a batch that share it.

Candidates for one input do, and on a CPU reading the prompt costs as much as writing the answer. For generation by
causal students; what training shares is in `logprobs`.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from .student import accepted_inputs


def shared_prefill(model: Any, ids: Tensor, mask: Tensor) -> DynamicCache | None:
    """Keys and values of all prompt tokens but the last, computed once for rows that share a prompt.

    Args:
        model: A causal model, with or without adapters around it.
        ids: [B, P] int64, padded on the left.
        mask: [B, P] int64, 1 on real tokens.

    Returns:
        A cache of B rows and P - 1 columns; None where no row shares its prompt.
    """
    unique, which = torch.unique(ids, dim=0, return_inverse=True)
    if len(unique) == len(ids) or ids.shape[1] < 2:
        return None
    first = torch.stack([(which == group).nonzero()[0, 0] for group in range(len(unique))])
    cache = DynamicCache(config=model.config)
    inputs: dict[str, Any] = {
        "input_ids": unique[:, :-1],
        "attention_mask": mask[first][:, :-1],
        "position_ids": (mask[first].cumsum(dim=1) - 1).clamp(min=0)[:, :-1],
        "logits_to_keep": 1,
    }
    model(**accepted_inputs(model, inputs), past_key_values=cache, use_cache=True)
    cache.batch_select_indices(which)
    return cache
