"""How long the student's texts may be, where nobody said it: as long as those it is shown, and longer."""

import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...core.config import saved_config
from ...core.ids import content_hash
from ...core.records import MOST_SETTLED, Split
from ...store import Run
from ...store.writes import updating
from ..context.run_context import RunContext
from .demonstrate import demonstrations

if TYPE_CHECKING:  # torch takes seconds to import
    from ...training.student.student import LoadedStudent

SHARE = 0.95
"""Of the texts it is shown so many are to fit: the longest few would cost all others room in every batch."""
ROOM = 1.25
"""How much longer than those it may get. One that learns to be brief is seen rambling first."""
LOOKED_AT = 400
"""Inputs whose prompts are measured, evenly drawn."""
LEAST, _STEP = 16, 8


async def settle_lengths(context: RunContext) -> None:
    """Settle the lengths that are open, once for the run, and say so; from then on its configuration has them."""
    if not (keys := context.config.open_lengths):
        return
    shown = await context.store.patiently(demonstrations, context, Split.TRAIN)
    texts = [turn.content for _, turns in shown for turn in turns]
    tokens = await asyncio.to_thread(lambda: fitting_length(context.student_tokens, texts, _room(context)))
    config, values = context.config.settled(tokens), dict(context.run.config)
    for name, sampling in (("student", config.student.sampling), ("evaluation", config.evaluation.sampling)):
        values[name] = {**values[name], "sampling": sampling.model_dump(mode="json")}
    await context.store.keep(updating(Run, context.run.id, config=values, config_hash=content_hash(values)))
    run = await context.store.patiently(context.store.get, Run, context.run.id)
    assert run is not None
    context.run, context.config = run, saved_config(run)
    context.progress.print(f"{' and '.join(keys)}: {tokens}, by the lengths of {len(texts)} demonstrations")


def fitting_length(student: "LoadedStudent", texts: Sequence[str], room: int = MOST_SETTLED) -> int:
    """Tokens that are enough for texts like these, which are at least one.

    Args:
        student: Whose tokens are meant.
        texts: What it is shown.
        room: What its prompts leave it; no more is settled, unless that is next to nothing.
    """
    counts = map(len, student.tokenizer(list(texts), add_special_tokens=False)["input_ids"])
    enough = ROOM * (1 + _most_of(counts))  # and the token that ends it
    return max(LEAST, min(room, MOST_SETTLED, _STEP * math.ceil(enough / _STEP)))


def _room(context: RunContext) -> int:
    """Tokens that the student's places, and those that its engine keeps, leave beside nearly all of its prompts."""
    known, settings = context.student_tokens, context.config.student
    limits = [known.positions] if known.kind == "causal" else []
    limits += [settings.slots.max_length] if settings.engine in {"auto", "slots"} else []
    limits += [settings.continuous.cache_tokens] if settings.engine in {"auto", "continuous"} else []
    asked = context.examples[:: math.ceil(len(context.examples) / LOOKED_AT)]
    prompts = (len(context.prompt_ids(context.student.prompt(example.value))) for example in asked)
    return min((limit for limit in limits if limit is not None), default=MOST_SETTLED) - _most_of(prompts)


def _most_of(lengths: Iterable[int]) -> int:
    """What nearly all of some lengths, at least one, are not more than."""
    ordered = sorted(lengths)
    return ordered[math.ceil(SHARE * len(ordered)) - 1]
