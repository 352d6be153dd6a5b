import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from openmic.core.errors import ConfigError, PlugError
from openmic.core.plugs import Plug
from openmic.core.records import Input
from openmic.evaluation.composite import Composite
from openmic.evaluation.measures import length
from openmic.evaluation.scorers import as_scorer, load_scorer


def constant(_source: Input, outputs: Sequence[str]) -> list[float]:
    return [10.0] * len(outputs)


def scores(scorer: Any, outputs: Sequence[str] = ("one", "two words")) -> list[float]:
    return asyncio.run(as_scorer(scorer).score("one two", outputs))


def test_parts_are_weighed_and_summed() -> None:
    assert scores(Composite([(length, 2.0), (constant, -0.5)])) == [-3.0, -1.0]


def test_the_configuration_names_its_parts() -> None:
    parts = [
        {"use": "length"},
        {"use": "length_ratio", "weight": 10},
        {"use": "distinct_2", "kwargs": {}, "weight": -1},
    ]
    scorer = load_scorer(Plug(use="composite", kwargs={"parts": parts}), where="cast.critic")
    assert scorer.name == "composite"
    assert scores(scorer) == [1 + 5 - 1, 2 + 10 - 1]


def test_composites_hold_composites() -> None:
    inner = {"use": "composite", "kwargs": {"parts": [{"use": "length", "weight": 3}]}}
    assert scores(Composite([inner, (Composite([(length, 1)]), 1)])) == [4.0, 8.0]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "there are no parts"),
        ([{"use": "leng"}], r"composite, part 1: there is no 'leng'; shipped are"),
        ([{"use": "length", "wieght": 1}], r"composite, part 1: there is no key 'wieght'; its keys are use"),
        ([{"weight": 1}], r"composite, part 1: use: Field required"),
        ([{"use": "length", "weight": "2"}], r"composite, part 1: the weight '2' is no number"),
        ([{"use": "length"}, {"use": "length", "weight": True}], r"composite, part 2: the weight True is no number"),
        ([length], r"composite, part 1: <function length .* is neither a pair"),
        ([("length", 1)], r"scorer str: 'length' cannot be called"),
    ],
)
def test_what_is_no_part_is_said_with_its_place(parts: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Composite(parts)


def test_a_part_that_fails_is_named() -> None:
    def broken(_source: Input, _outputs: Sequence[str]) -> list[float]:
        return []

    with pytest.raises(PlugError, match="scorer broken returned"):
        scores(Composite([(length, 1), (broken, 1)]))


def test_parts_are_checked_and_closed() -> None:
    seen: list[Any] = []

    class Held:
        def __call__(self, source: Input, outputs: Sequence[str]) -> list[float]:
            return [0.0] * len(outputs)

        def check(self, source: Input) -> None:
            seen.append(source)

        def close(self) -> None:
            seen.append("closed")

    scorer = as_scorer(Composite([(Held(), 1)]))
    asyncio.run(scorer.check({"question": "Why?"}))
    asyncio.run(scorer.close())
    assert seen == [{"question": "Why?"}, "closed"]
