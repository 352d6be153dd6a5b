"""What a scorer may be, what is made of what it returns, and the ones that ship."""

import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openmic.core.errors import ConfigError, PlugError
from openmic.core.plugs import Plug, load_plug
from openmic.core.records import Input
from openmic.evaluation.scorers import SHIPPED_SCORERS, NamedScorer, as_scorer, best_of, load_scorer

OUTPUTS = ["one", "two words", "and now three"]


def words(_source: Input, outputs: Sequence[str]) -> list[int]:
    return [len(output.split()) for output in outputs]


class Doubled:
    """A scorer with an opinion of its own on its name, and something to let go of."""

    name = "twice as good"
    closed = checked = False

    async def __call__(self, source: Input, outputs: Sequence[str]) -> list[float]:
        await asyncio.sleep(0)
        return [2.0 * len(output.split()) for output in outputs]

    def check(self) -> None:
        self.checked = True

    def close(self) -> None:
        self.closed = True


def scores(scorer: Any, source: Input = "an input", outputs: Sequence[str] = OUTPUTS) -> list[float]:
    return asyncio.run(as_scorer(scorer).score(source, outputs))


def awaited(_source: Input, outputs: Sequence[str]) -> Awaitable[list[int]]:
    async def later() -> list[int]:
        return words("", outputs)

    return later()


def test_functions_objects_and_what_they_promise_are_scorers() -> None:
    assert scores(words) == [1.0, 2.0, 3.0]
    assert scores(Doubled()) == [2.0, 4.0, 6.0]
    assert scores(awaited) == [1.0, 2.0, 3.0]
    assert scores(functools.partial(words)) == [1.0, 2.0, 3.0]
    assert scores(lambda source, outputs: [source["question"] in output for output in outputs], {"question": "o"}) == [
        1.0,
        1.0,
        1.0,
    ]


@pytest.mark.parametrize(
    "returned", [(1, 2, 3), np.array([1.0, 2.0, 3.0]), torch.tensor([1, 2, 3]), iter([1, 2, 3]), [True, 2, 3.0]]
)
def test_numbers_come_in_many_containers(returned: Any) -> None:
    assert scores(lambda source, outputs: returned) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "returned",
    [None, 0.5, [1, 2, 10**400], [1, 2], [1, 2, 3, 4], [1, 2, float("nan")], [1, 2, float("inf")], ["1", "2", "3"],
     "123", {1, 2, 3}, {"one": 1, "two": 2, "three": 3}, [1, 2, None], [[1], [2], [3]], torch.ones(3, 2)],
)  # fmt: skip
def test_what_is_no_score_is_said_with_the_scorer_the_input_and_what_came(returned: Any) -> None:
    def wrong(_source: Input, _outputs: Sequence[str]) -> Any:
        return returned

    with pytest.raises(PlugError) as error:
        scores(wrong, "The kettle broke.")
    message = str(error.value)
    assert message.startswith("scorer wrong returned ")
    assert "'The kettle broke.'" in message
    assert "one finite number for each" in message
    assert len(message) < 300


def test_a_scorer_that_raises_is_an_error_that_says_where() -> None:
    def broken(source: Input, outputs: Sequence[str]) -> list[float]:
        raise KeyError("no such word")

    with pytest.raises(PlugError, match=r"scorer broken failed: KeyError: 'no such word' \(.*test_scorers.py, line \d"):
        scores(broken)


def test_nothing_is_asked_of_no_outputs() -> None:
    def never(source: Input, outputs: Sequence[str]) -> list[float]:
        raise AssertionError

    assert scores(never, outputs=[]) == []


def test_a_plain_function_holds_nobody_up_and_is_called_one_at_a_time() -> None:
    inside, most, threads = 0, 0, set[int]()

    def slow(_source: Input, outputs: Sequence[str]) -> list[float]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threads.add(threading.get_ident())
        time.sleep(0.05)
        inside -= 1
        return [0.0] * len(outputs)

    async def work() -> int:
        ticks = 0
        asked = asyncio.gather(*(as_scorer(slow).score("input", OUTPUTS) for _ in range(3)))
        while not asked.done():
            await asyncio.sleep(0.005)
            ticks += 1
        return ticks

    assert asyncio.run(work()) > 5
    assert most == 1
    assert threading.get_ident() not in threads


def test_a_scorer_cannot_change_the_outputs_for_others() -> None:
    outputs = list(OUTPUTS)

    def greedy(_source: Input, given: Any) -> list[float]:
        found = [0.0] * len(given)
        given.clear()
        return found

    assert scores(greedy, outputs=outputs) == [0.0] * 3
    assert outputs == OUTPUTS


def test_names_are_given_or_found() -> None:
    assert as_scorer(words).name == "words"
    assert as_scorer(Doubled()).name == "twice as good"
    assert as_scorer(functools.partial(words)).name == "partial"
    named = as_scorer(words, "length")
    assert named.name == "length"
    assert as_scorer(named) is named
    assert as_scorer(named, "other").name == "other"
    assert scores(as_scorer(named, "other")) == [1.0, 2.0, 3.0]


def test_what_is_no_scorer_is_said_at_once() -> None:
    with pytest.raises(ConfigError, match="scorer rubric: 3 cannot be called; a scorer is"):
        as_scorer(3, "rubric")
    with pytest.raises(ConfigError, match="is a class; give an object of it"):
        as_scorer(Doubled)
    with pytest.raises(ConfigError, match=r"does not take \(input, outputs\): missing a required argument"):
        as_scorer(lambda source, outputs, more: [1.0])
    with pytest.raises(ConfigError, match=r"does not take \(input, outputs\): too many"):
        as_scorer(lambda output: 1.0)


def test_a_check_is_the_scorers_own_or_a_score() -> None:
    own = Doubled()
    asyncio.run(as_scorer(own).check("an input"))
    assert own.checked
    asyncio.run(as_scorer(words).check({"question": "Why?", "context": "Because."}))
    with pytest.raises(PlugError, match=r"returned \[1\.0\] for 2 outputs"):
        asyncio.run(as_scorer(lambda source, outputs: [1.0], "short").check("an input"))


def test_closing_reaches_those_that_hold_something() -> None:
    own = Doubled()
    asyncio.run(as_scorer(own).close())
    assert own.closed
    asyncio.run(as_scorer(words).close())


def test_a_plug_is_a_scorer_under_its_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_counts.py").write_text(
        "class Counted:\n"
        "    def __init__(self, letter='e'):\n        self.letter = letter\n"
        "    def __call__(self, source, outputs):\n        return [output.count(self.letter) for output in outputs]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plain = load_scorer(Plug(use="my_counts:Counted"), where="evaluation.scorers.0")
    other = load_scorer(Plug(use="my_counts:Counted", kwargs={"letter": "o"}, name="o's"), where="evaluation.scorers.1")
    assert (plain.name, scores(plain)) == ("Counted", [1.0, 0.0, 2.0])
    assert (other.name, scores(other)) == ("o's", [1.0, 2.0, 1.0])
    with pytest.raises(ConfigError, match=r"evaluation\.scorers\.0: there is no 'leng'; shipped are composite, "):
        load_scorer(Plug(use="leng"), where="evaluation.scorers.0")


def test_every_scorer_that_ships_is_there_and_takes_no_kwargs_but_by_name() -> None:
    for name in set(SHIPPED_SCORERS) - {"composite", "novelty", "reward_model", "sentence_similarity"}:
        scorer = load_scorer(Plug(use=name), where=name)
        assert isinstance(scorer, NamedScorer)
        assert scorer.name == name
        assert len(scores(scorer, "The bus left.", ["The bus left, like a walrus.", ""])) == 2
    with pytest.raises(ConfigError, match="composite"):
        load_plug(Plug(use="composite", kwargs={"parts": []}), where="here", shipped=SHIPPED_SCORERS)


def test_the_best_is_the_first_with_the_highest_score() -> None:
    assert asyncio.run(best_of(words, "input", ["a b", "a b c", "x y z", "w"])) == 1
    assert asyncio.run(best_of(Doubled(), "input", ["only"])) == 0
