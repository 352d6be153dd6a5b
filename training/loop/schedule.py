"""How many steps a training has, and its learning rate at each."""

import math


def steps_of(epochs: float, examples: int, batch_size: int) -> int:
    """Optimizer steps: so many passes over the examples, the last batch of all perhaps not full; at least 1."""
    return max(1, math.ceil(epochs * examples / batch_size))


def rate(step: int, steps: int, warmup_ratio: float) -> float:
    """Share of the peak learning rate at a step (from 0): linear warmup, then linear decay to nearly zero."""
    warmup = max(1, round(steps * warmup_ratio))
    return (step + 1) / (warmup + 1) if step < warmup else (steps - step) / max(1, steps - warmup)
