"""Memory that really runs out: a model's pass over too much asks the allocator for more than any machine has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def memory_for(model: Any, most: int, dimension: int = 0) -> Iterator[list[int]]:
    """For the time of the block the model has memory for inputs of so many rows, or along another dimension.

    Gives how many each pass had, those that failed included.
    """
    seen: list[int] = []

    def look(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        ids = next(kwargs[name] for name in ("input_ids", "decoder_input_ids") if kwargs.get(name) is not None)
        seen.append(ids.shape[dimension])
        if seen[-1] > most:
            torch.empty(2**50)

    hook = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()
