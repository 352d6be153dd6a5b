import math

import pytest

from openmic.agents.verdicts.cloze import preference, text_score
from openmic.core.errors import ReplyError
from openmic.core.records import LLMReply, TokenLogprob


def scored(*tokens: tuple[str, float | None]) -> LLMReply:
    found = tuple(TokenLogprob(token=text, logprob=logprob) for text, logprob in tokens)
    return LLMReply(text="", model="m", prompt_logprobs=found)


def around(*tokens: tuple[str, float | None]) -> LLMReply:
    return scored(("<s>", None), ("Better", -9), (": <", -9), ("text>", -9), *tokens, ("</", -9), ("text>", -9))


def test_the_texts_tokens_alone_are_averaged() -> None:
    assert text_score(around(("The", -1), (" bus", -2), (" left.", -6))) == pytest.approx(-3)


def test_a_token_over_the_edge_is_the_texts() -> None:
    assert text_score(scored(("<text", -9), (">The", -1), (" bus", -2), (".</", -3), ("text>", -9))) == -2


def test_the_last_text_counts_where_the_template_speaks_of_it_before() -> None:
    words = (("Look at <text>", -9), ("this", -8), ("</text>", -9), ("\n<text>", -9), ("Bus", -1), ("</text>", -9))
    assert text_score(scored(*words)) == -1


def test_a_text_that_is_not_closed_reaches_to_the_end() -> None:
    assert text_score(scored(("<text>", -9), ("Bus", -1), (".", -2))) == -1.5


@pytest.mark.parametrize("reply", [scored(), scored(("Bus", -1)), around(), around(("Bus", None))])
def test_a_prompt_without_a_scored_text_is_a_reply_that_cannot_be_read(reply: LLMReply) -> None:
    with pytest.raises(ReplyError, match="holds no <text>"):
        text_score(reply)


def test_the_likelier_text_is_preferred_the_more_the_likelier_it_is() -> None:
    one, other = around(("Bus", -1.0)), around(("Bus", -1.1), (" stop", -1.1))
    assert preference(one, other) == pytest.approx(1 / (1 + math.exp(-0.8)))
    assert preference(other, one) == pytest.approx(1 - preference(one, other))
    assert preference(one, one) == 0.5
    assert preference(one, around(("Bus", -1e9))) == 1.0
