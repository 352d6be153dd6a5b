"""Cloze verdicts: of two texts the better one is the one that makes a template more likely (Ravi et al. 2024).

The paper compares perplexities of the template; this compares the mean log-probability of the text's own tokens, as
the template around both is the same. A text is scored without the other beside it: there is no order to be biased by.
"""

import math

from ...core.errors import ReplyError
from ...core.records import LLMReply

SHARPNESS = 8.0
"""How sure a difference in mean log-probability makes, per nat and token: 0.1 nats, a perplexity lower by a tenth, give
p = 0.69. Mean log-probabilities of paraphrases differ by tenths of a nat; this spreads them over the scale of p."""
_OPENING, _CLOSING = "<text>", "</text>"


def text_score(reply: LLMReply) -> float:
    """The mean log-probability, in nats per token, of what stands between the prompt's last `<text>` and `</text>`.

    A token that reaches over an edge counts as the text's. Places are counted in the tokens' own strings, so that
    marks a tokenizer puts before the prompt do no harm.

    Raises:
        ReplyError: no token of the text has a log-probability.
    """
    tokens = reply.prompt_logprobs or ()
    prompt = "".join(token.token for token in tokens)
    before, opening, text = prompt.rpartition(_OPENING)
    start = len(before + opening)
    stop = start + len(text.partition(_CLOSING)[0])
    found, end = list[float](), 0
    for token in tokens:
        begin, end = end, end + len(token.token)
        if begin < stop and end > start and token.logprob is not None:
            found.append(token.logprob)
    if not found or not opening:
        raise ReplyError(f"the scored prompt holds no {_OPENING} with log-probabilities in it: {prompt[-120:]!r}")
    return math.fsum(found) / len(found)


def preference(first: LLMReply, second: LLMReply) -> float:
    """p(the first text is better), the logistic function of `SHARPNESS` times the difference of the scores.

    Raises:
        ReplyError: as for `text_score`.
    """
    difference = SHARPNESS * (text_score(first) - text_score(second))
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, difference))))
