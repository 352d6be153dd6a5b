"""Trying an objective on made-up rows, before anything is loaded or paid for."""

import inspect
import math
from typing import Any

import torch

from ...core.errors import ConfigError, OpenmicError
from ...core.plugs import where_raised
from .base import MISMATCHED, TARGET, Objective, ObjectiveSettings, RowLogprobs, as_loss

_EXAMPLES = 4
_TOKENS = 6
_RANKS = {"demonstrations": 1, "chosen": 1, "pairs": 2, "rankings": 3, "drafts": 1}


def try_objective(objective: Objective, settings: ObjectiveSettings, *, where: str) -> None:
    """Have an objective say its loss of made-up rows, such as it will be given, and take the gradient.

    Args:
        objective: The objective.
        settings: The numbers that it will be given.
        where: The configuration's key or argument, and what it is called, for errors.

    Raises:
        ConfigError: it raises, returns no scalar, one that is not finite or that nothing can be learned from, or other
            things than numbers to look at.
    """
    if inspect.iscoroutinefunction(type(objective).__call__):
        raise ConfigError(f"{where} is asynchronous; make __call__ a plain function")
    token = torch.linspace(-4.0, -0.5, _rows_of(objective) * _TOKENS).reshape(-1, _TOKENS).requires_grad_()
    try:
        found = objective(made_up_rows(objective, token), settings)
        loss = as_loss(found, type(objective).__qualname__)
    except OpenmicError as error:
        raise ConfigError(f"{where}, tried on made-up rows: {error}") from error
    except Exception as error:  # other people's code may raise anything
        raise ConfigError(f"{where}, tried on made-up rows, failed: {_failure(error)}") from error
    if not math.isfinite(loss.value.item()):
        raise ConfigError(f"{where}, tried on made-up rows, gave a loss of {loss.value.item()}")
    if not loss.value.requires_grad:
        raise ConfigError(
            f"{where}, tried on made-up rows, gave a loss without a gradient, so nothing would be learned; make it of "
            "rows.token and the like, without detach(), item() or no_grad()"
        )
    try:
        loss.value.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    except RuntimeError as error:
        raise ConfigError(f"{where}, tried on made-up rows: no gradient can be taken: {_failure(error)}") from error
    if token.grad is None or not bool(torch.isfinite(token.grad).all()):
        raise ConfigError(f"{where}, tried on made-up rows, gave a gradient that is not finite")


def made_up_rows(objective: Objective, token: Any) -> RowLogprobs:
    """Rows of four examples with the ranks that an objective is given; `token` is [R, 6]."""
    ranks = _ranks(objective)
    lengths = torch.tensor([_TOKENS - row % 3 for row in range(len(token))])
    mask = (torch.arange(_TOKENS).unsqueeze(0) < lengths.unsqueeze(1)).to(token.dtype)
    return RowLogprobs(
        token=token * mask,
        mask=mask,
        group=torch.arange(_EXAMPLES).repeat_interleave(len(ranks)),
        rank=torch.tensor(ranks * _EXAMPLES),
        mean_length=float(lengths.float().mean()),
        reference=(token.detach() - 0.1) * mask if objective.needs_reference else None,
        teacher=(token.detach() - 0.2) * mask if objective.needs == "drafts" else None,
    )


def _ranks(objective: Objective) -> list[int]:
    ranks = list(range(_RANKS[objective.needs]))
    return ranks + [TARGET] * objective.uses_target + [MISMATCHED] * objective.uses_mismatched


def _rows_of(objective: Objective) -> int:
    return _EXAMPLES * len(_ranks(objective))


def _failure(error: Exception) -> str:
    """What was raised, and in which line of whose file."""
    said = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {said[0]:.200} ({where_raised(error)})"
