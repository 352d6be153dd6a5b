"""Rows as a model gives them, without a model; and derivatives by differences, for formulas written out in NumPy."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from openmic.core.training_settings import ObjectiveSettings
from openmic.training.objectives import Objective, RowLogprobs

WIDTH = 6


def rows(
    ranks: Sequence[Sequence[int]],
    seed: int,
    *,
    reference: bool = False,
    mean_length: float = 3.0,
    teacher: bool = False,
) -> RowLogprobs:
    """Rows of several lengths, zero outside the mask, in double precision; for each example those ranks."""
    generator = torch.Generator().manual_seed(seed)
    count = sum(map(len, ranks))
    lengths = torch.randint(1, WIDTH + 1, (count,), generator=generator)
    mask = (torch.arange(WIDTH) < lengths.unsqueeze(1)).long()
    token, before, other = (
        -3 * torch.rand(count, WIDTH, generator=generator, dtype=torch.float64) * mask for _ in range(3)
    )
    return RowLogprobs(
        token,
        mask,
        torch.tensor([group for group, own in enumerate(ranks) for _ in own]),
        torch.tensor([rank for own in ranks for rank in own]),
        mean_length,
        before if reference else None,
        teacher=other if teacher else None,
    )


def with_token(given: RowLogprobs, token: torch.Tensor) -> RowLogprobs:
    return replace(given, token=token)


def permuted(given: RowLogprobs, order: torch.Tensor) -> RowLogprobs:
    return RowLogprobs(
        given.token[order],
        given.mask[order],
        given.group[order],
        given.rank[order],
        given.mean_length,
        None if given.reference is None else given.reference[order],
        teacher=None if given.teacher is None else given.teacher[order],
    )


def row(given: RowLogprobs, group: int, rank: int) -> int:
    """Where an example's text of that rank lies."""
    [place] = ((given.group == group) & (given.rank == rank)).nonzero().flatten().tolist()
    return int(place)


def gradient(objective: Objective, given: RowLogprobs, settings: ObjectiveSettings) -> np.ndarray:
    """Of the loss, by each token's log-probability: [R, C]."""
    token = given.token.clone().requires_grad_()
    objective(with_token(given, token * given.mask), settings).value.backward()
    assert token.grad is not None
    return token.grad.numpy()


def differences(loss: Callable[[np.ndarray], float], at: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Central differences of a loss by each token's log-probability: [R, C]."""
    found = np.zeros_like(at)
    for place in np.argwhere(mask):
        step = np.zeros_like(at)
        step[tuple(place)] = 1e-5
        found[tuple(place)] = (loss(at + step) - loss(at - step)) / 2e-5
    return found
