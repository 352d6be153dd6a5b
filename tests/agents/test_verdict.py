import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.agents.verdict import Verdict, combine_orders, first_label_probability
from openmic.core.errors import ReplyError
from openmic.core.records import LLMReply

from ..properties import steady
from .exchanges import exchange, reply

PROBABILITY = st.floats(0.001, 0.999)


def verdict(p_forward: float, p_second: float, tie_margin: float = 0.05) -> Verdict:
    """The verdict when the first label has these odds, A shown first and B shown first."""
    both = (reply("1", **{"1": p, "2": 1 - p}) for p in (p_forward, p_second))
    return combine_orders(*map(exchange, both), tie_margin)


# One reply


def test_the_ways_a_tokenizer_writes_a_label_are_summed() -> None:
    tokens = {"1": 0.3, " 1": 0.1, "1.": 0.05, "(1": 0.05, '"1"': 0.1, "2": 0.1, " 2": 0.05, "**2": 0.05, "The": 0.2}
    answer = LLMReply(text="1", model="m", first_token_logprobs={token: math.log(p) for token, p in tokens.items()})
    p, method = first_label_probability(answer)
    assert p == pytest.approx(0.6 / 0.8)
    assert method == "logprobs"


def test_the_probabilities_outrank_the_text() -> None:
    assert first_label_probability(reply("1", **{"1": 0.2, "2": 0.6}))[0] == pytest.approx(0.25)


def test_other_numbers_are_no_labels() -> None:
    p, _ = first_label_probability(reply("1", **{"1": 0.1, "2": 0.1, "12": 0.5, "21": 0.2, "3": 0.1}))
    assert p == pytest.approx(0.5)


def test_a_label_that_is_not_among_the_alternatives_has_no_chance() -> None:
    assert first_label_probability(reply("2", **{"2": 0.9, "The": 0.1})) == (0.0, "logprobs")
    assert first_label_probability(reply("1", **{"1": 1e-9, "The": 0.9})) == (1.0, "logprobs")


READABLE = [
    ("1", 1.0),
    (" 2\n", 0.0),
    ("1.", 1.0),
    ("**2**", 0.0),
    ('"1"', 1.0),
    ("2: because it is shorter than 1", 0.0),
    ("Answer: 2", 0.0),
    ("The better one is 1, I think.", 1.0),
]


@pytest.mark.parametrize(("text", "p"), READABLE)
def test_without_probabilities_the_text_decides(text: str, p: float) -> None:
    assert first_label_probability(reply(text)) == (p, "text")


def test_probabilities_of_neither_label_leave_it_to_the_text() -> None:
    assert first_label_probability(reply("Option 2", Option=0.7, The=0.3)) == (0.0, "text")
    assert first_label_probability(reply("1", **{"1": 0, "2": 0})) == (1.0, "text")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Both are fine.",
        "It is between 1 and 2.",
        "12",
        "3",
        "I'm sorry, but I can't help with that.",
        "x" * 300 + " 1",
    ],
)
def test_a_reply_that_names_no_label_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ReplyError, match="names neither 1 nor 2"):
        first_label_probability(reply(text))


# Both orders


def test_a_text_that_wins_in_both_orders_wins() -> None:
    won = verdict(0.9, 0.3)
    assert (won.outcome, won.consistent) == ("win", True)
    assert (won.p_forward, won.p_reverse) == (pytest.approx(0.9), pytest.approx(0.7))
    assert (won.p_first, won.margin) == (pytest.approx(0.8), pytest.approx(0.6))


def test_a_text_that_loses_in_both_orders_loses() -> None:
    lost = verdict(0.2, 0.9)
    assert (lost.outcome, lost.consistent) == ("loss", True)
    assert lost.p_first == pytest.approx(0.15)
    assert lost.margin == pytest.approx(0.7)


@pytest.mark.parametrize(("forward", "second"), [(0.95, 0.6), (0.99, 0.99), (0.05, 0.4)])
def test_orders_that_disagree_are_a_tie(forward: float, second: float) -> None:
    biased = verdict(forward, second)
    assert (biased.outcome, biased.consistent) == ("tie", False)


def test_near_even_odds_are_a_tie_though_the_orders_agree() -> None:
    near = verdict(0.53, 0.46)
    assert (near.outcome, near.consistent) == ("tie", True)
    assert verdict(0.53, 0.46, tie_margin=0.02).outcome == "win"
    assert verdict(0.5, 0.5, tie_margin=0).outcome == "tie"


def test_a_label_in_words_makes_the_whole_verdict_one_by_text() -> None:
    mixed = combine_orders(exchange(reply("1", **{"1": 0.9, "2": 0.1})), exchange(reply("2")), 0.05)
    assert (mixed.method, mixed.outcome, mixed.p_reverse) == ("text", "win", 1.0)
    assert verdict(0.9, 0.1).method == "logprobs"


def test_one_unreadable_order_leaves_no_verdict() -> None:
    with pytest.raises(ReplyError, match="perhaps"):
        combine_orders(exchange(reply("1")), exchange(reply("perhaps")), 0.05)


@steady
@given(PROBABILITY, PROBABILITY, st.floats(0, 0.4))
def test_exchanging_the_texts_turns_the_verdict_round(forward: float, second: float, tie_margin: float) -> None:
    there, back = verdict(forward, second, tie_margin), verdict(second, forward, tie_margin)
    assert back.p_first == pytest.approx(1 - there.p_first)
    assert back.margin == pytest.approx(there.margin)
    opposite = {"win": "loss", "loss": "win", "tie": "tie"}
    if abs(abs(there.p_first - 0.5) - tie_margin) > 1e-9 and min(abs(forward - 0.5), abs(second - 0.5)) > 1e-9:
        assert back.outcome == opposite[there.outcome]
