"""Sampling that depends on each row's own seed and not on the batch it happens to share.

`generate` draws for a whole batch from one global generator, so a text would depend on its neighbours. Here every row
brings its own random numbers, and the batch is decoded greedily among what they chose.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from ...core.records import Sampling

NUCLEUS_CAP = 256
"""Only the likeliest so many tokens are ever sampled from; a full sort of the vocabulary costs more than it changes."""


class SeededSampler(LogitsProcessor):
    """Temperature and nucleus sampling by inverse transform, one uniform number per row and step."""

    def __init__(self, samplings: Sequence[Sampling], seeds: Sequence[int], prompt_width: int) -> None:
        longest = max(sampling.max_tokens for sampling in samplings)
        self._uniform = torch.stack([uniform_numbers(seed, longest) for seed in seeds])
        self._temperature = torch.tensor([sampling.temperature for sampling in samplings]).unsqueeze(1)
        self._top_p = torch.tensor([sampling.top_p for sampling in samplings]).unsqueeze(1)
        self._prompt_width = prompt_width

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """[B, V] scores in which each row's chosen token alone is finite."""
        step = min(input_ids.shape[1] - self._prompt_width, self._uniform.shape[1] - 1)
        device = scores.device
        uniform = self._uniform[:, step : step + 1]
        chosen = draw(scores, *(column.to(device) for column in (uniform, self._temperature, self._top_p)))
        return torch.full_like(scores, float("-inf")).scatter_(-1, chosen, 0.0)


def draw(scores: Tensor, uniform: Tensor, temperature: Tensor, top_p: Tensor) -> Tensor:
    """[B, 1] int64: the token each row draws from [B, V] scores; the other arguments are [B, 1] float32.

    `uniform` is the row's random number in [0, 1) for this step; at temperature 0 the likeliest token is taken.
    """
    values, tokens = scores.float().topk(min(NUCLEUS_CAP, scores.shape[-1]), dim=-1)
    probabilities = torch.softmax(values / temperature.clamp(min=1e-4), dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    probabilities = probabilities.masked_fill(before >= top_p, 0.0)  # the first is always kept
    cumulative = probabilities.cumsum(dim=-1)
    target = uniform * cumulative[:, -1:]
    place = (cumulative <= target).sum(dim=-1, keepdim=True).clamp(max=values.shape[-1] - 1)
    place = torch.where(temperature == 0, torch.zeros_like(place), place)
    return tokens.gather(-1, place)


class PerRowLength(StoppingCriteria):
    """Stops each row at its own most tokens."""

    def __init__(self, limits: Sequence[int], prompt_width: int) -> None:
        self._limits = torch.tensor(limits)
        self._prompt_width = prompt_width

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        """[B] bool: the rows that have reached their limit."""
        return (input_ids.shape[1] - self._prompt_width >= self._limits).to(input_ids.device)


def uniform_numbers(seed: int, count: int) -> Tensor:
    """[count] float32 in [0, 1): the random numbers of a row, one per step."""
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))
