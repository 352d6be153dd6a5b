"""A scorer of scorers: the weighted sum of what several say."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ..core.errors import ConfigError
from ..core.plugs import Plug
from ..core.records import Input
from .scorers import NamedScorer, Scorer, as_scorer, load_scorer

_KEYS = ("use", "kwargs", "name", "weight")


class Composite:
    """Sums the scores of its parts, each times its weight; a weight below 0 counts against an output.

    Scores are added as they are: parts of unlike size need weights that make them alike.
    """

    name = "composite"

    def __init__(self, parts: Sequence[tuple[Scorer | NamedScorer, float] | Mapping[str, Any]]) -> None:
        """Takes scorers with their weights, or what the configuration has in their place.

        Args:
            parts: Each a pair (scorer, weight), or a mapping with `use`, and perhaps `kwargs`, `name` and `weight` (1).

        Raises:
            ConfigError: there is none, or one is no scorer with a weight.
        """
        if not parts:
            raise ConfigError("composite: there are no parts; name one, such as {use: faithfulness, weight: 2}")
        self._parts = [_part(place, part) for place, part in enumerate(parts)]

    async def __call__(self, source: Input, outputs: Sequence[str]) -> list[float]:
        """The weighted sums, one for each output.

        Raises:
            PlugError: one of the parts failed.
        """
        scores = await asyncio.gather(*(scorer.score(source, outputs) for scorer, _ in self._parts))
        weights = [weight for _, weight in self._parts]
        return [sum(map(float.__mul__, weights, each)) for each in zip(*scores, strict=True)]

    async def check(self, source: Input) -> None:
        """Try each part on an input.

        Raises:
            OpenmicError: one does not work.
        """
        for scorer, _ in self._parts:
            await scorer.check(source)

    async def close(self) -> None:
        """Let go of what the parts hold."""
        for scorer, _ in self._parts:
            await scorer.close()


def _part(place: int, part: Any) -> tuple[NamedScorer, float]:
    where = f"composite, part {place + 1}"
    if isinstance(part, Mapping):
        unknown = sorted(set(part) - set(_KEYS))
        if unknown:
            raise ConfigError(f"{where}: there is no key {unknown[0]!r}; its keys are {', '.join(_KEYS)}")
        try:
            plug = Plug.model_validate({key: value for key, value in part.items() if key != "weight"})
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
        scorer, weight = load_scorer(plug, where=where), part.get("weight", 1)
    else:
        try:
            given, weight = part
        except (TypeError, ValueError):
            raise ConfigError(f"{where}: {part!r:.80} is neither a pair (scorer, weight) nor a mapping") from None
        scorer = as_scorer(given)
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise ConfigError(f"{where}: the weight {weight!r} is no number")
    return scorer, float(weight)
