import math

import pytest

from openmic.agents.verdicts.labels import Label, read_label
from openmic.core.errors import ReplyError
from openmic.core.records import LLMReply, TokenLogprob

from ..exchanges import reply, token

# A label that comes first


def test_the_ways_a_tokenizer_writes_a_label_are_summed() -> None:
    tokens = {"1": 0.3, " 1": 0.1, "1.": 0.05, "(1": 0.05, '"1"': 0.1, "2": 0.1, " 2": 0.05, "**2": 0.05, "The": 0.2}
    first = TokenLogprob(token="1", logprob=math.log(0.3), alternatives={t: math.log(p) for t, p in tokens.items()})
    p, method = read_label(LLMReply(text="1", model="m", token_logprobs=(first,)), "label")
    assert p == pytest.approx(0.6 / 0.8)
    assert method == "logprobs"


def test_the_probabilities_outrank_the_text() -> None:
    assert read_label(reply("1", **{"1": 0.2, "2": 0.6}), "label").p_one == pytest.approx(0.25)


def test_other_numbers_are_no_labels() -> None:
    p, _ = read_label(reply("1", **{"1": 0.1, "2": 0.1, "12": 0.5, "21": 0.2, "3": 0.1}), "label")
    assert p == pytest.approx(0.5)


def test_a_label_that_is_not_among_the_alternatives_has_no_chance() -> None:
    assert read_label(reply("2", **{"2": 0.9, "The": 0.1}), "label") == Label(0.0, "logprobs")
    assert read_label(reply("1", **{"1": 1e-9, "The": 0.9}), "label") == Label(1.0, "logprobs")


def test_a_token_without_alternatives_speaks_for_itself() -> None:
    bare = LLMReply(text="2", model="m", token_logprobs=(TokenLogprob(token=" 2", logprob=-0.1),))
    assert read_label(bare, "label") == Label(0.0, "logprobs")


def test_a_label_after_marks_is_read_from_its_own_token() -> None:
    marked = LLMReply(text="**1**", model="m", token_logprobs=(token("**"), token("1", **{"1": 0.3, "2": 0.1})))
    assert read_label(marked, "label") == Label(pytest.approx(0.75), "logprobs")  # type: ignore[arg-type]


READABLE = [
    ("1", 1.0),
    (" 2\n", 0.0),
    ("1.", 1.0),
    ("**2**", 0.0),
    ('"1"', 1.0),
    ("2: because it is shorter than 1", 0.0),
    ("Answer: 2", 0.0),
    ("The better one is 1, I think.", 1.0),
    ("<think>1 is longer, 2 is funnier.</think>\n\n2", 0.0),
    ("<think>" + "Hm. " * 100 + "</think>1", 1.0),
]


@pytest.mark.parametrize(("text", "p"), READABLE)
def test_without_probabilities_the_text_decides(text: str, p: float) -> None:
    assert read_label(reply(text), "label") == Label(p, "text")


def test_probabilities_of_neither_label_leave_it_to_the_text() -> None:
    assert read_label(reply("Option 2", Option=0.7, The=0.3), "label") == Label(0.0, "text")
    assert read_label(reply("1", **{"1": 0, "2": 0}), "label") == Label(1.0, "text")


UNREADABLE = [
    "",
    "Both are fine.",
    "It is between 1 and 2.",
    "12",
    "3",
    "I'm sorry, but I can't help with that.",
    "x" * 300 + " 1",
    "<think>1 is the one",
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_reply_that_names_no_label_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ReplyError, match="names neither 1 nor 2"):
        read_label(reply(text), "label")


# A label that comes after a reason

REASON = "The first has 2 jokes, the second 1.\nAnswer: 2"


def reasoned(label: TokenLogprob, text: str = REASON, *after: TokenLogprob) -> LLMReply:
    before = text[: text.rindex(label.token.strip())].rstrip(" ")
    words = [token(word + " ") for word in before.split(" ")]
    words[-1] = token(words[-1].token.rstrip(" "))
    return LLMReply(text=text, model="m", token_logprobs=(*words, label, *after))


def test_after_a_reason_the_answers_own_token_counts() -> None:
    answer = reasoned(token(" 2", _1=0.2, _2=0.6))
    assert answer.token_logprobs is not None
    assert "".join(t.token for t in answer.token_logprobs) == REASON
    assert read_label(answer, "reason") == Label(pytest.approx(0.25), "logprobs")  # type: ignore[arg-type]


def test_numbers_after_the_answer_do_not_confuse_it() -> None:
    text = "Answer: 1 (it beats number 1 of last week)"
    tail = [token(piece, **{"1": 0.01, "2": 0.99}) for piece in (" (it beats number", " 1", " of last week)")]
    head = LLMReply(text=text, model="m", token_logprobs=(token("Answer:"), token(" 1", _1=0.8, _2=0.2), *tail))
    assert read_label(head, "reason").p_one == pytest.approx(0.8)


def test_tokens_that_do_not_tally_with_the_text_are_looked_through_from_the_end() -> None:
    tokens = (token("\\xf0\\x9f"), token("2", **{"1": 0.5, "2": 0.5}), token("2", **{"1": 0.1, "2": 0.9}))
    found = read_label(LLMReply(text="😀 2 jokes. Answer: 2", model="m", token_logprobs=tokens), "reason")
    assert found.p_one == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "p"),
    [
        (REASON, 0.0),
        ("2 is longer. Answer: 1", 1.0),
        ("Answer: 1? No.\nAnswer: 2", 0.0),
        ("Short.\n**Answer:** 1", 1.0),
        ("Short.\n\n**Answer: 2**\n", 0.0),
        ("So the answer is 1.", 1.0),
        ("It has a turn.\n2", 0.0),
        ("1", 1.0),
        ("<think>Answer: 1</think>A turn.\nAnswer: 2", 0.0),
    ],
)
def test_without_probabilities_the_last_answer_decides(text: str, p: float) -> None:
    assert read_label(reply(text), "reason") == Label(p, "text")


@pytest.mark.parametrize("text", ["", "1 is better because it has a turn and", "Answer:", "Answer: both", "Answer: 12"])
def test_a_reason_without_an_answer_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ReplyError, match="names neither"):
        read_label(reply(text), "reason")
