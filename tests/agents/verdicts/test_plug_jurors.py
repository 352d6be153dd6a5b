"""Scorers and Python critics as jurors: what their answers add up to, and what is said of those that are none."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from openmic.agents.llm import PlugReply
from openmic.agents.verdicts.jury import Jury
from openmic.agents.verdicts.plug_jurors import CompareJuror, ScorerJuror
from openmic.agents.verdicts.verdict import Verdict
from openmic.core.dialogue_settings import VerdictSettings
from openmic.core.errors import PlugError
from openmic.core.records import Input


async def lengths(_input: Input, outputs: Sequence[str]) -> list[float]:
    return [float(len(output)) for output in outputs]


def scored(first: str, second: str, margin: float = 0.0, scale: float | None = None) -> Verdict:
    juror = ScorerJuror(lengths, "critic", "mine:lengths", 0, margin=margin, scale=scale, tie_margin=0.05)
    return asyncio.run(Jury([juror], VerdictSettings()).compare("x", first, second))


def compared(compare: Any) -> Verdict:
    class Mine:
        def __init__(self) -> None:
            self.compare = compare

    juror = CompareJuror(Mine(), "judge", "mine:Mine", 2, tie_margin=0.05)
    return asyncio.run(Jury([juror], VerdictSettings()).compare("x", "good", "bad"))


@pytest.mark.parametrize(
    ("first", "second", "margin", "outcome"),
    [
        ("aaa", "a", 0, "win"),
        ("a", "aaa", 0, "loss"),
        ("a", "b", 0, "tie"),
        ("aaa", "a", 2, "tie"),
        ("aaaa", "a", 2, "win"),
    ],
)
def test_the_higher_score_wins_and_a_margin_makes_ties(first: str, second: str, margin: float, outcome: str) -> None:
    verdict = scored(first, second, margin)
    assert (verdict.outcome, verdict.consistent, verdict.method) == (outcome, True, "score")
    assert verdict.p_first == {"win": 1.0, "loss": 0.0, "tie": 0.5}[outcome]


def test_both_scores_are_ballots() -> None:
    one, other = scored("aaa", "a").ballots
    assert isinstance(one.origin, PlugReply)
    assert (one.origin.role, one.origin.use, one.origin.text, one.forward) == ("critic", "mine:lengths", "3", True)
    assert isinstance(other.origin, PlugReply)
    assert (other.origin.text, other.forward) == ("1", False)


def test_with_a_scale_the_difference_is_log_odds() -> None:
    assert scored("aaa", "a", scale=1.0).p_first == pytest.approx(0.8808, abs=1e-4)
    assert scored("aaa", "a", scale=1e9).outcome == "tie"
    assert scored("a" * 5000, "a", scale=0.001).p_first == 1.0


@pytest.mark.parametrize(
    ("compare", "outcome", "consistent"),
    [
        (lambda _i, first, _s: 0.9 if first == "good" else 0.1, "win", True),
        (lambda _i, first, _s: first != "good", "loss", True),
        (lambda _i, first, _s: "first" if first == "good" else "second", "win", True),
        (lambda _i, _f, _s: "tie", "tie", True),
        (lambda _i, _f, _s: True, "tie", False),
    ],
)
def test_a_python_critic_is_asked_in_both_orders(compare: Any, outcome: str, consistent: bool) -> None:
    verdict = compared(compare)
    assert (verdict.outcome, verdict.consistent, verdict.method) == (outcome, consistent, "function")
    assert [(ballot.forward, ballot.member) for ballot in verdict.ballots] == [(True, 2), (False, 2)]


def test_an_asynchronous_critic_may_ask_for_the_overused_endings() -> None:
    seen: list[Any] = []

    async def compare(_input: Input, first: str, second: str, *, overused: list[str]) -> float:
        seen.append((first, second, overused))
        return 0.5

    assert compared(compare).outcome == "tie"
    assert seen == [("good", "bad", []), ("bad", "good", [])]


@pytest.mark.parametrize("answer", [1.5, 10**400, -0.1, "both", None, float("nan"), [1]])
def test_an_answer_that_is_no_preference_says_what_was_expected(answer: Any) -> None:
    with pytest.raises(PlugError, match=r"mine:Mine\.compare returned .*p\(first is better\) in \[0, 1\]"):
        compared(lambda _input, _first, _second: answer)


def test_what_a_critic_raises_is_told_with_its_line() -> None:
    def compare(_input: Input, _first: str, _second: str) -> float:
        raise KeyError("taste")

    with pytest.raises(PlugError, match=r"mine:Mine\.compare failed: KeyError: 'taste' \(.*test_plug_jurors\.py, line"):
        compared(compare)
