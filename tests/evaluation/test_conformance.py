"""The suite that every scorer has to stand: those that ship do, and each kind of misbehaviour is seen."""

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest

from openmic.core.errors import ConfigError, PlugError
from openmic.core.records import Input
from openmic.evaluation.composite import Composite
from openmic.evaluation.measures import distinct_2, faithfulness, length, length_ratio
from openmic.simulator.rubrics import SimulatedRubric
from openmic.testing import check_scorer

SENTENCE = "The ticket machine rejected my coins."
OUTPUTS = ["The ticket machine rejected my coins, and has hired a lawyer.", "It broke.", "No."]
FIELDS = {"question": "What did it reject?", "context": SENTENCE}


@pytest.mark.parametrize("source", [SENTENCE, FIELDS])
@pytest.mark.parametrize(
    "scorer",
    [
        length,
        length_ratio,
        distinct_2,
        faithfulness,
        SimulatedRubric(graded=True),
        Composite([(faithfulness, 2), (length_ratio, -0.1)]),
    ],
    ids=lambda scorer: getattr(scorer, "__name__", type(scorer).__name__),
)
def test_the_scorers_that_ship_conform(scorer: object, source: Input) -> None:
    assert len(check_scorer(scorer, source, OUTPUTS)) == 3


def test_it_can_be_called_where_an_event_loop_runs() -> None:
    async def notebook() -> list[float]:
        return check_scorer(length, SENTENCE, OUTPUTS)

    assert asyncio.run(notebook()) == [11.0, 2.0, 1.0]


NUMBERS = count()


def fickle(_source: Input, outputs: Sequence[str]) -> list[float]:
    return [float(next(NUMBERS)) for _ in outputs]


def of_place(_source: Input, outputs: Sequence[str]) -> list[float]:
    return [float(place) for place, _ in enumerate(outputs)]


def of_company(_source: Input, outputs: Sequence[str]) -> list[float]:
    longest = max(map(len, outputs))
    return [len(output) / longest for output in outputs]


def tidy(_source: Input, outputs: list[str]) -> list[float]:
    outputs.sort()
    return [0.0] * len(outputs)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        (tidy, r"scorer tidy changed the outputs"),
        (fickle, "scored the same outputs"),
        (of_place, "in another order"),
        (of_company, "together, and .* one by one"),
    ],
)
def test_what_misbehaves_is_seen(scorer: object, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_scorer(scorer, SENTENCE, OUTPUTS)


def test_what_fails_of_an_empty_output_is_seen() -> None:
    def first_letter(_source: Input, outputs: Sequence[str]) -> list[float]:
        return [float(ord(output[0])) for output in outputs]

    with pytest.raises(PlugError, match="first_letter failed: IndexError"):
        check_scorer(first_letter, SENTENCE, OUTPUTS)


def test_what_takes_a_field_out_of_the_input_is_seen() -> None:
    def greedy(source: dict[str, str], outputs: Sequence[str]) -> list[float]:
        source.pop("context", None)
        return [1.0] * len(outputs)

    with pytest.raises(AssertionError, match="scorer greedy changed the input it was given"):
        check_scorer(greedy, FIELDS, OUTPUTS)


def test_what_reads_ascii_alone_is_seen() -> None:
    def ascii_only(_source: Input, outputs: Sequence[str]) -> list[float]:
        return [float(len(output.encode("ascii"))) for output in outputs]

    with pytest.raises(PlugError, match="ascii_only failed: UnicodeEncodeError"):
        check_scorer(ascii_only, SENTENCE, OUTPUTS)


def test_what_is_no_scorer_or_no_trial_is_said() -> None:
    with pytest.raises(ConfigError, match="cannot be called"):
        check_scorer(3, SENTENCE, OUTPUTS)
    with pytest.raises(AssertionError, match="two outputs that differ"):
        check_scorer(length, SENTENCE, ["one", "one"])
