"""How a comparison is answered: with the label alone, or with a reason and then the label.

The label's probability is what is read: from its log-probabilities where they are asked for and given, else from how
often it is said. A model that answers without log-probabilities at a temperature above 0 draws its label.
"""

from typing import Any

from .chance import happens
from .critic import Comparison, compare, reason
from .prompts import Prompt
from .protocol import ChatRequest, Odds, choice, likeliest, tokens
from .settings import SimulatorSettings
from .skills import rubric_of

_FORMS = (("{}", 0.90), (" {}", 0.06), ("{}.", 0.03))
"""How a label's probability is spread over the tokens that mean it; what is left goes to a word that means neither."""
_FORMS_AFTER_REASON = ((" {}", 0.90), ("{}", 0.06), (" {}.", 0.03))
_NEITHER = "The"
JUDGE = "sim-judge"
"""The model that judges for evaluation alone."""
_REASON_TOKEN_P = 0.8
"""How likely each token of a reason is."""


def verdict(request: ChatRequest, prompt: Prompt, key: str, settings: SimulatorSettings) -> list[dict[str, Any]]:
    """The choices of the reply to a comparison.

    A model is of one mind: all choices of a reply come from the same probability, and are the same unless drawn.
    """
    assert prompt.skill is not None
    assert prompt.source is not None
    assert prompt.first is not None
    assert prompt.second is not None
    rubric = rubric_of(prompt.skill, request.model)
    if settings.fair_judge and request.model == JUDGE:
        settings = settings.model_copy(update={"prefer_first": 0.0, "prefer_long": 0.0, "flip_rate": 0.0})
    compared = compare(rubric, prompt.source, prompt.first, prompt.second, prompt.heard, settings, key)
    wanted = bool(request.logprobs) and not settings.no_logprobs
    drawn = not wanted and request.heat > 0
    choices = []
    for index in range(request.n or 1):
        label = _label(compared, drawn, key, index)
        before = ""
        if prompt.reason_first:
            before = f"{reason(rubric, prompt.skill.remarks, compared, label)}\nAnswer:"
        odds = _odds(before, compared.p_first, label, request.top_logprobs or 0) if wanted else None
        text = f"{before} {label}" if before else label
        choices.append(choice(index, text, request.most_tokens, odds))
    return choices


def _label(compared: Comparison, drawn: bool, key: str, index: int) -> str:
    first = happens(compared.p_first, key, "label", index) if drawn else compared.p_first >= 0.5
    return "1" if first else "2"


def _odds(before: str, p: float, label: str, top: int) -> list[Odds]:
    """The odds of all tokens of a reply that says `before` and then the label."""
    said = [Odds(_REASON_TOKEN_P, likeliest(token, _REASON_TOKEN_P, top)) for token in tokens(before)]
    return [*said, _label_odds(p, label, top, _FORMS_AFTER_REASON if before else _FORMS)]


def _label_odds(p: float, label: str, top: int, forms: tuple[tuple[str, float], ...]) -> Odds:
    """The odds of the label, with `top` tokens to show; from two on, both labels are among them."""
    spread = {form.format(name): share * mass for name, mass in (("1", p), ("2", 1 - p)) for form, share in forms}
    spread[_NEITHER] = 1 - sum(spread.values())
    main = [forms[0][0].format(name) for name in (label, "2" if label == "1" else "1")]
    rest = sorted((token for token in spread if token not in main), key=lambda token: -spread[token])
    shown = [*main, *rest][:top]
    return Odds(spread[main[0]], {token: spread[token] for token in sorted(shown, key=lambda token: -spread[token])})
