"""What any scorer has to stand in openmic's place."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from ..core.concurrency import run_to_end
from ..core.plugs import call_plug
from ..core.records import Input
from .scorers import as_scorer

OF_ANY_SCRIPT = ("Un café, naïvement.", "公交车走了，没有等我。", "السلام عليكم", "👩‍👩‍👧", "\n", "long " * 500)
"""Outputs as models write them where they are not asked for plain English."""


def check_scorer(scorer: Any, source: Input, outputs: Sequence[str]) -> list[float]:
    """Try a scorer on one input and several outputs for it, and give their scores.

    It has to give each output one finite number, the same each time and in whatever order they come, alone as well as
    together, whoever else asks at the same moment, of an empty output too, and of one in any script; and it has to
    leave the input and the outputs as they are. Numbers may differ by a ten-thousandth, as those of a model do with
    what shares its batch.

    Args:
        scorer: The function or object.
        source: An input of the task: a text, or its fields by name.
        outputs: At least two outputs that differ.

    Raises:
        AssertionError: it does not do one of these things.
        ConfigError: it is no scorer.
        PlugError: it failed, or returned something else than scores.
    """
    assert len(set(outputs)) > 1, "a scorer is tried on at least two outputs that differ"
    return run_to_end(lambda: _check(scorer, source, list(outputs)))


async def _check(scorer: Any, source: Input, outputs: list[str]) -> list[float]:
    named = as_scorer(scorer)
    try:
        scores = await named.score(source, outputs)
        again = await named.score(source, outputs)
        assert _same(scores, again), f"scorer {named.name} scored the same outputs {scores}, and then {again}"
        turned = await named.score(source, outputs[::-1])
        assert _same(scores, turned[::-1]), f"scorer {named.name} scored them {turned[::-1]} in another order"
        alone = [(await named.score(source, [output]))[0] for output in outputs]
        assert _same(scores, alone), f"scorer {named.name} scored them {scores} together, and {alone} one by one"
        at_once = await asyncio.gather(*(named.score(source, outputs) for _ in range(3)))
        assert all(_same(scores, each) for each in at_once), f"scorer {named.name} scored them {at_once} at once"
        await named.score(source, ["", *outputs])
        await named.score(source, list(OF_ANY_SCRIPT))
        await _leaves_alone(scorer, named.name, source, outputs)
    finally:
        await named.close()
    assert _same(scores, await named.score(source, outputs)), f"scorer {named.name} scores otherwise after close()"
    await named.close()
    return scores


async def _leaves_alone(scorer: Any, name: str, source: Input, outputs: list[str]) -> None:
    """Hand out what a scorer may change, and look whether it did."""
    own_source = source if isinstance(source, str) else dict(source)
    own_outputs = list(outputs)
    await call_plug(lambda: scorer(own_source, own_outputs), about=f"scorer {name}")
    assert own_outputs == outputs, f"scorer {name} changed the outputs it was given to {own_outputs!r:.80}"
    assert own_source == source, f"scorer {name} changed the input it was given to {own_source!r:.80}"


def _same(some: Sequence[float], others: Sequence[float]) -> bool:
    return all(math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-4) for one, other in zip(some, others, strict=True))
