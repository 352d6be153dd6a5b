"""Scorers: whatever says how good outputs are, `(input, outputs) -> scores`, one each and the higher the better.

A scorer may be a critic, sit on a jury, choose the best of several outputs, and stand in every report as a column.
"""

import inspect
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from ..core.errors import ConfigError, PlugError
from ..core.plugs import Plug, call_plug, load_plug
from ..core.records import Input, input_words

Scorer = Callable[[Input, Sequence[str]], Sequence[float] | Awaitable[Sequence[float]]]
"""One input and several outputs for it, to one score for each output. Asynchronous or not.

The input is a text, or its fields by name where the task's inputs have several. Scores may be of any finite size; with
scores of 0 and 1 alone a report shows the share of ones.

An object may have a `name`, a `close()` that is called when nothing is scored any more, and a `check()` that raises a
ConfigError where it is set up wrongly, and may take an input as `source`: preflight calls it in place of a score, where
a score takes long.
"""

SHIPPED_SCORERS: Mapping[str, str] = {
    "length": "openmic.evaluation.measures:length",
    "length_ratio": "openmic.evaluation.measures:length_ratio",
    "distinct_1": "openmic.evaluation.measures:distinct_1",
    "distinct_2": "openmic.evaluation.measures:distinct_2",
    "copy": "openmic.evaluation.measures:copy",
    "copied": "openmic.evaluation.measures:copied",
    "novelty": "openmic.evaluation.measures:Novelty",
    "faithfulness": "openmic.evaluation.measures:faithfulness",
    "sentence_similarity": "openmic.training.scoring.sentence_similarity:SentenceSimilarity",
    "composite": "openmic.evaluation.composite:Composite",
    "reward_model": "openmic.training.scoring.reward_model:RewardModel",
    "simulated_rubric": "openmic.simulator.rubrics:SimulatedRubric",
}
"""The scorers that ship, by the name that the configuration knows them by."""


class NamedScorer:
    """A scorer that was given a name, and whose scores are looked at before they are used."""

    def __init__(self, scorer: Scorer, name: str) -> None:
        """Wraps a scorer that `as_scorer` found to be one."""
        self.name = name
        self._scorer = scorer

    async def score(self, source: Input, outputs: Sequence[str]) -> list[float]:
        """One finite score for each output, in order; of no outputs none, without asking.

        Raises:
            PlugError: the scorer failed, or returned something else.
        """
        if not outputs:
            return []
        found = await call_plug(self._scorer, source, list(outputs), about=f"scorer {self.name}")
        scores = _read(found)
        if scores is None or len(scores) != len(outputs) or not all(map(math.isfinite, scores)):
            raise PlugError(
                f"scorer {self.name} returned {_brief(found)} for {len(outputs)} outputs for the input "
                f"{_brief(source)}; it is to return one finite number for each output, in order"
            )
        return scores

    async def check(self, source: Input) -> None:
        """Try the scorer on an input by its own `check`, else by a score of the input itself.

        Raises:
            OpenmicError: it does not work.
        """
        check = getattr(self._scorer, "check", None)
        if callable(check):
            await call_plug(check, about=f"scorer {self.name}", source=source)
        else:
            text = input_words(source)
            await self.score(source, [text, f"{text} {text}"])

    async def close(self) -> None:
        """Let go of what the scorer holds; it may be used again, and then takes hold of it anew."""
        close = getattr(self._scorer, "close", None)
        if callable(close):
            await call_plug(close, about=f"scorer {self.name}")


def as_scorer(scorer: Any, name: str | None = None, *, where: str | None = None) -> NamedScorer:
    """A scorer under its name: the given one, its own `name`, or what its function or class is called.

    Args:
        scorer: The function or object.
        name: What to call it.
        where: The configuration's key that it was set by, for errors.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(scorer, NamedScorer):
        return scorer if name in {None, scorer.name} else NamedScorer(scorer._scorer, name or scorer.name)
    named = name or getattr(scorer, "name", None) or getattr(scorer, "__name__", type(scorer).__name__)
    what = f"{where or f'scorer {named}'}: {_brief(scorer)}"
    if inspect.isclass(scorer):
        raise ConfigError(f"{what} is a class; give an object of it")
    if not callable(scorer):
        raise ConfigError(f"{what} cannot be called; a scorer is (input, outputs) -> scores")
    try:
        inspect.signature(scorer).bind("input", ["output"])
    except TypeError as error:
        raise ConfigError(f"{what} does not take (input, outputs): {error}") from None
    except ValueError:  # a builtin without a signature: a score will tell
        pass
    return NamedScorer(scorer, str(named))


def load_scorer(plug: Plug, *, where: str) -> NamedScorer:
    """The scorer that a plug names.

    Args:
        plug: A name of `SHIPPED_SCORERS`, or module:attribute.
        where: The configuration's key, for errors.

    Raises:
        ConfigError: it cannot be imported or made, or is no scorer.
    """
    return as_scorer(load_plug(plug, where=where, shipped=SHIPPED_SCORERS), plug.label, where=where)


async def best_of(scorer: Any, source: Input, outputs: Sequence[str]) -> int:
    """The place of the output with the highest score; the first of several that share it.

    Raises:
        ConfigError: it is no scorer.
        PlugError: the scorer failed, or returned something else than scores.
    """
    assert outputs, "nothing to choose from"
    scores = await as_scorer(scorer).score(source, outputs)
    return max(range(len(scores)), key=scores.__getitem__)


def _read(found: Any) -> list[float] | None:
    """The numbers of a list, an array or a tensor of one dimension; None where it is something else."""
    if isinstance(found, str | bytes | Mapping | set | frozenset):
        return None
    try:
        values = list(found)
        return None if any(isinstance(value, str | bytes) for value in values) else [float(value) for value in values]
    except (TypeError, ValueError, OverflowError, RuntimeError):  # RuntimeError: of a tensor with more dimensions
        return None


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
