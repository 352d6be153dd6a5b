"""Attention of a continuous batch, each request to its own keys and values.

transformers lays the tokens of a step in one row and, without flash attention, has each look at the keys of all
requests under a mask: work that grows with the square of the batch. Here requests that add one token (nearly all,
nearly always) are a padded batch, and those that read their prompt go one by one. What is computed is the same.
"""

import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.generation.continuous_batching.cache import PagedAttentionCache
from transformers.generation.continuous_batching.cache_allocators import FULL_ATTENTION

from ..student.student import sees_whole_text

NAME = "openmic_paged"
"""What the attention is called in a model's configuration."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """A request that reads several tokens in a step."""

    tokens: slice
    """Its tokens, in the row of all tokens."""
    keys: slice
    """Its keys, in what is read from the cache."""
    mask: Tensor | None
    """[tokens, keys] bool, true where a token sees a key. None: nothing came before, and each sees up to itself."""


@dataclass(frozen=True, slots=True)
class _Step:
    """How the tokens of a step find their keys, the same in every layer. W requests add one token, K keys at most."""

    made_from: object
    """By which a step is known again."""
    read_index: Tensor
    """Cache places to read, W * K of the writers, padded with places of their own, then those of the readers. From
    transformers 5.24 on it is places in what was read of the cache already."""
    writers: Tensor
    """[W] int64: the tokens of requests that add one token."""
    own: Tensor
    """[W, 1, 1, K] bool: false on padding."""
    readers: tuple[_Reader, ...]


class _Latest(threading.local):
    """The step that this thread computes; every engine has a thread of its own."""

    step: _Step | None = None


_latest = _Latest()


def suits(model: Any) -> bool:
    """Whether this may replace a model's attention: each layer sees all that came before, and scores are left alone."""
    config = model.config.get_text_config()
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    return config._attn_implementation == "sdpa" and sees_whole_text(model) and not capped


def paged_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cache: PagedAttentionCache | None = None,
    scaling: float | None = None,
    **step: Any,
) -> tuple[Tensor, None]:
    """Transformers' attention interface, for the steps of continuous batching alone.

    Args:
        module: The attention layer.
        query: [1, H, T, D], the tokens of all requests in one row.
        key: [1, G, T, D], to be added to the cache; each of G heads serves H / G of the query's. Without a cache
            [1, G, K, D], all that its requests see, one request after the other.
        value: As `key`.
        attention_mask: None: who sees what follows from the lengths of the requests.
        cache: Keys and values of all requests. None: from transformers 5.24 on the model itself has it take in the new
            ones and give back what is to be seen.
        scaling: Of the scores. None: 1 / sqrt(D).
        step: What transformers says of the step: the requests' lengths, and their places in the cache.

    Returns:
        [1, T, H, D].
    """
    assert attention_mask is None, "transformers makes masks for implementations it knows alone"
    assert step.get("position_bias") is None, "no causal model with continuous batching has one"
    # The plan is the same for all layers of a step, and transformers gives each layer the very same index tensor.
    plan = _latest.step
    if plan is None or plan.made_from is not step["read_index"]:
        plan = _latest.step = _plan(step)
    if cache is None:
        keys, values = key[:, :, plan.read_index], value[:, :, plan.read_index]
    else:  # it takes in the new keys and gives back those at the places that are asked for
        keys, values = cache.update(key, value, module.layer_idx, step | {"read_index": [plan.read_index]})
    tokens = query[0].transpose(0, 1)
    output = torch.empty_like(tokens)
    # Requests that add one token are by far the most, and go through one call; each that reads a prompt has its own,
    # since one call for all would compute every pair of tokens, most of them of different requests.
    if len(plan.writers):
        output[plan.writers] = _add_one(tokens[plan.writers], keys, values, plan.own, scaling)
    for reader in plan.readers:
        part = scaled_dot_product_attention(
            query[:, :, reader.tokens],
            keys[:, :, reader.keys],
            values[:, :, reader.keys],
            attn_mask=reader.mask,
            is_causal=reader.mask is None,
            scale=scaling,
            enable_gqa=keys.shape[1] != query.shape[1],
        )
        output[reader.tokens] = part[0].transpose(0, 1)
    return output.unsqueeze(0), None


def _add_one(tokens: Tensor, keys: Tensor, values: Tensor, own: Tensor, scaling: float | None) -> Tensor:
    """Attention [W, H, D] of one token of each request; `keys` and `values` begin with W * K rows."""
    count, width, groups = len(own), own.shape[-1], keys.shape[1]

    def by_request(each: Tensor) -> Tensor:
        """[W, G, K, D]."""
        return each[0, :, : count * width].transpose(0, 1).view(count, width, groups, -1).transpose(1, 2)

    asking = tokens.reshape(count, groups, -1, tokens.shape[-1])
    found = scaled_dot_product_attention(asking, by_request(keys), by_request(values), attn_mask=own, scale=scaling)
    return found.reshape(tokens.shape)


def _plan(step: dict[str, Any]) -> _Step:
    first_key, places = step["cu_seq_lens_k"], step["read_index"][0]
    if isinstance(first_key, Tensor):  # this layer's, since the cache has given back its keys, in the requests' order
        places = torch.arange(int(first_key[-1]), device=places.device)
    else:
        first_key = first_key[FULL_ATTENTION]
        if not len(places):  # nobody has anything in the cache yet: what is read is what is written
            places = step["write_index"][0]
    device, begins, lengths = places.device, first_key[:-1], first_key.diff()
    token_at, key_at = step["cu_seq_lens_q"].tolist(), first_key.tolist()
    counts = [end - begin for begin, end in pairwise(token_at)]
    adding = torch.tensor([i for i, count in enumerate(counts) if count == 1], device=device, dtype=torch.long)
    own_keys = lengths[adding].unsqueeze(1)
    column = torch.arange(int(own_keys.max()) if len(adding) else 0, device=device)
    read = [places[begins[adding].unsqueeze(1) + column.minimum(own_keys - 1)].flatten()]
    readers, at = [], len(read[0])
    for i, count in enumerate(counts):
        if count == 1:
            continue
        seen = key_at[i + 1] - key_at[i]
        mask = None if seen == count else torch.ones(count, seen, dtype=torch.bool, device=device).tril(seen - count)
        readers.append(_Reader(slice(token_at[i], token_at[i + 1]), slice(at, at + seen), mask))
        read.append(places[key_at[i] : key_at[i + 1]])
        at += seen
    return _Step(
        made_from=step["read_index"],
        read_index=torch.cat(read),
        writers=step["cu_seq_lens_q"][adding].long(),
        own=(column < own_keys)[:, None, None, :],
        readers=tuple(readers),
    )


AttentionInterface.register(NAME, paged_attention)
