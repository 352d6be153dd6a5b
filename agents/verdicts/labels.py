"""Reading one reply to a comparison: which label it names, and with what probability.

From "Small But Funny" (Ravi et al. 2024): two texts are shown as 1 and 2, and the probabilities of the tokens "1" and
"2" are the preference. The label comes first, or last after a reason ("Answer: 1"). This file knows nothing of orders,
of who was asked, or of what becomes of a reply that cannot be read. Thoughts are no part of a reply's text any more.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import regex as re

from ...core.errors import ReplyError
from ...core.records import LLMReply, TokenLogprob
from ..endpoints.reading import spelled

LabelStyle = Literal["label", "reason"]

_ONES = "1\uff11\u2460\u2776\u278a\u2474\u0661\u06f1\u0967\u09e7\u0e51"
_TWOS = "2\uff12\u2461\u2777\u278b\u2475\u0662\u06f2\u0968\u09e8\u0e52"
"""The digits as other scripts write them, and in circles and brackets."""
_SPOKEN = rf"[\w{_ONES}{_TWOS}]"
_DIGITS = {**dict.fromkeys(_ONES, "1"), **dict.fromkeys(_TWOS, "2")}
_THING = (
    r"(?:text|option|number|version|candidate|choice|response|retelling|joke|sentence|notice|rewrit(?:e|ing)|output"
    r"|paraphrase|variante?|fassung|вариант|текст|文本|选项|テキスト)"
)
_ONE = (
    rf"(?:the\s+)?(?:first|1st)(?:\s+(?:one|{_THING}))?|(?:die|der|das)\s+erste(?:\s+{_THING})?|le\s+premier|la\s+première"
    rf"|el\s+primero|la\s+primera|il\s+primo|la\s+prima|o\s+primeiro|a\s+primeira|de\s+eerste|(?:первый|первая|первое)(?:\s+{_THING})?"
    r"|第一(?:个|個|种|種|句|条|段|版|则)|(?:一つ|1番|１番)目|最初の(?:方|文|もの)|前者|첫\s?번째|الأولى?|อันแรก|ประโยคแรก"
)
_TWO = (
    rf"(?:the\s+)?(?:second|2nd)(?:\s+(?:one|{_THING}))?|(?:die|der|das)\s+zweite(?:\s+{_THING})?|le\s+second"
    r"|la\s+(?:deuxième|seconde|segunda|seconda)|le\s+deuxième|el\s+segundo|il\s+secondo|o\s+segundo|a\s+segunda|de\s+tweede"
    rf"|(?:второй|вторая|второе)(?:\s+{_THING})?|第二(?:个|個|种|種|句|条|段|版|则)|(?:二つ|2番|２番)目|後者|后者|두\s?번째|الثانية?"
    r"|อันที่สอง|ประโยคที่สอง"
)
_LABEL = (
    rf"(?:(?P<label>[{_ONES}])(?:\s*[(（](?:{_ONE})[)）])?|(?P<label>[{_TWOS}])(?:\s*[(（](?:{_TWO})[)）])?"
    rf"|(?P<one>{_ONE})|(?P<two>{_TWO}))(?:番目?|번)?"
)
"""A label, or the words by which prompts call it."""
_END = r"(?:です|だ|である|입니다|이다)?(?:[^\w(（%?\uff1f]|[\ufe0f\u20e3])*(?:</?\w+>\W*)*\Z"
_NOUN = rf"(?:(?:{_THING}|no\.|nr\.?|the)[\W_]{{0,3}})"
_SAYS = (
    r"(?:answer|verdict|choice|winner|label|decision|preference|selection|prefer|pick|choose|select|better|best|favou?r"
    r"|vote(?:\s+(?:for|goes\s+to))?|go(?:ing)?\s+with|pass(?:ing)?\s+on|antwort|réponse|respuesta|risposta|resposta|ответ"
    r"|wähle|bevorzuge|choisis|elijo|prefiero|escolho|выбираю|答案|答え|回答|选择|選擇|选|選ぶのは|정답|답|คำตอบ)"
)
_IS = r"(?:(?:is|ist|est|es|è|é)\b\W{0,6}|は\s?|是\s?|은\s?|คือ\s?)?"
_LEAD = (
    r"(?:(?:so|thus|hence|therefore|overall|definitely|clearly|it(?:'|’)?s|it\s+is|i(?:'|’)?d\s+say|i\s+say"
    r"|(?:of|between)\s+the\s+two)\b[\s,:]*)"
)
_WINS = (
    r"(?:\s+(?:wins|it\s+is)|\s+(?:is|was|would\s+be|ist)(?:\s+(?:the|my|clearly|much|slightly|far|overall))*"
    r"\s+(?:better|best|funnier|funniest|stronger|clearer|winner|preferred|preferable|superior|answer|choice|pick|besser)"
    rf"(?:\s+(?:one|{_THING}))?|更(?:好|有趣|幽默|搞笑))"
)
_LAST = (
    re.compile(rf"^\W*(?:\\boxed\W*)?(?:\\text\W*)?{_LEAD}*{_NOUN}{{0,2}}{_LABEL}(?:{_WINS})?{_END}", re.IGNORECASE),
    re.compile(
        rf"{_SAYS}(?:\s+(?:one|text|option|is|choice))*\W{{0,12}}{_IS}(?:\\boxed\W*)?(?:\\text\W*)?"
        rf"{_NOUN}{{0,2}}{_LABEL}{_END}",
        re.IGNORECASE,
    ),
    re.compile(
        r"^\W*(?!.*\b(?:wors[te]|weak\w*|los\w+|scores?|rat\w+|confidence|certainty|humou?r|points?|twists?|first|second"
        r"|runner|rank|place|reasons?|difference|count|length|line|page|note|step|level|total)\b)"
        rf"(?:[^\W\d_]\p{{M}}*)+(?:\s(?:[^\W\d_]\p{{M}}*)+)?\s?[:：]\W{{0,6}}{_LABEL}{_END}",
        re.IGNORECASE,
    ),
    # Spelled out only where nothing else can be meant: "I like the better one" names none.
    re.compile(rf"(?:^|{_SAYS}\W{{0,6}}[:\uff1a])\W*(?:(?P<one>one)|(?P<two>two))\W*$", re.IGNORECASE),
)
"""How a last line ends in a label: alone or with what it wins, after what announces it, after a heading of any language
but one that grades, or as a word."""
_FIRST = (
    re.compile(rf"^[\s\"'“*_`#(\[]*(?P<label>[{_ONES}{_TWOS}])[\s\"'”*_`)\]]*$"),
    re.compile(
        rf"^\W*(?:final\s+)?(?:answer|verdict|choice|winner)\W{{1,12}}{_NOUN}{{0,2}}{_LABEL}[^\w:：(（?\uff1f]*$",
        re.IGNORECASE,
    ),
)
"""A first line that is a label and nothing else, or announces one and nothing else. `1.` is none: a list begins so."""
_OBJECT = re.compile(
    rf"^\s*\{{[^{{}}]*\"(?:final_?)?{_SAYS}\"\s*:\s*\"?{_NOUN}{{0,2}}{_LABEL}\"?\s*(?:,[^{{}}]*)?\}}[\s`]*\Z",
    re.IGNORECASE | re.MULTILINE,
)
"""A JSON object at the end that says it under one of its keys."""
_NOT = re.compile(
    r"(?:\b(?:not|never|no|nor|neither|cannot|nicht|kein\w*|ne|pas|non|nunca|не)|n['’]t)\W*?(?:[^\W\d_]+\s+)?\Z"
    r"|[不没別别勿]\s?会?\s?\Z",
    re.IGNORECASE,
)
"""What turns an announcement into its contrary, within the clause."""
_ALONE = re.compile(rf"[\s\"'“*_`\[]*(?P<label>[{_ONES}{_TWOS}])[\s\"'”*_`\]]*")
_LIST = re.compile(r"\s*[12][.)]")
"""What a list begins with, so that the label it looks like is none in a reply that was cut off."""
_AROUND = ".,;:!()[]{}\"'*<>`#“”（）：。"
_QUOTES = ('"', "“", "”", "„", "«", "‘", "'", "`", "「", "『", "《", "〈")


class Label(NamedTuple):
    """What one reply says."""

    p_one: float
    """p(the text shown first is better)."""
    method: Literal["logprobs", "text"]
    mass: float | None = None
    """What both labels had together of the probability, at the token where the reply names one or should; None where
    there are no log-probabilities there."""
    answers: bool = True
    """Whether the reply is an answer: it names a label, or both labels had enough of the mass."""


def read_label(reply: LLMReply, style: LabelStyle, min_mass: float = 0.0) -> Label:
    """p(label 1) / (p(label 1) + p(label 2)), summed over the ways a tokenizer writes each label.

    With a label first these are the probabilities where the answer begins, whatever word stands there; where those are
    of neither label, and with a reason first, of the token by which the reply's end names its label. A label that is
    not among the alternatives has as much as the last of them at most. Where both have less than `min_mass` together,
    and without log-probabilities, the label that the text names is certain.

    Args:
        reply: The reply. Of one that was cut off no words count, but a label that is all of it.
        style: Where the label stands.
        min_mass: The least that both labels have to have together, in [0, 1].

    Raises:
        ReplyError: the reply names neither label.
    """
    tokens, mass = reply.token_logprobs or (), None
    if style == "label" and (reply.complete or not _LIST.match(reply.text)):
        for token in _beginning(tokens):
            odds = _odds(token)
            mass = max(mass or 0.0, odds.mass)
            if odds.mass > 0 and odds.mass >= min_mass:
                return Label(odds.p_one, "logprobs", odds.mass)
    named = _named(reply, style)
    if named is None:
        broken = "" if reply.complete else " (it was cut off)"
        little = "" if mass is None else f"; both labels together had {mass:.0%} of the probability"
        raise ReplyError(f"the verdict names neither 1 nor 2{little}{broken}: {reply.text[-120:]!r}")
    token_of = _token_of(tokens, reply.text, named)
    if token_of is not None:
        odds = _odds(token_of)
        mass = odds.mass if mass is None else max(mass, odds.mass)
        if odds.mass > 0 and odds.mass >= min_mass:
            return Label(odds.p_one, "logprobs", odds.mass)
    return Label(1.0 if named.label == "1" else 0.0, "text", mass, answers=mass is None or mass >= min_mass)


def undecided(reply: LLMReply) -> Label | None:
    """What is left to read of a reply that names no label.

    That is the little that the labels had where it begins. The rest goes to both alike, so that next to nothing for
    either is next to a tie. None where there are no log-probabilities, or the labels had none of them.
    """
    best = max((_odds(token) for token in _beginning(reply.token_logprobs or ())), key=_mass_of, default=None)
    if best is None or best.mass <= 0:
        return None
    mass = min(1.0, best.mass)
    return Label(best.p_one * mass + (1 - mass) / 2, "logprobs", best.mass, answers=False)


class _Named(NamedTuple):
    """A label in a reply's text."""

    label: str
    at: int
    """Where it stands."""


def _named(reply: LLMReply, style: LabelStyle) -> _Named | None:
    """The label that a reply ends with; with a label first, also one that is its first line."""
    if not reply.complete:
        whole = _ALONE.fullmatch(reply.text) if style == "label" else None
        return None if whole is None else _Named(_DIGITS[whole["label"]], whole.start("label"))
    lines = [line for line in re.finditer(r"[^\n\r]+", reply.text) if re.search(_SPOKEN, line.group())]
    if not lines:
        return None
    if told := _OBJECT.search(reply.text):
        return _label_in(told)
    first, last = _in_line(lines[0], _FIRST), _in_line(lines[-1], _LAST)
    if style == "reason" or len(lines) == 1 or first is None:
        return last
    return first if last is None or last.label == first.label else None


def _in_line(line: re.Match[str], patterns: Sequence[re.Pattern[str]]) -> _Named | None:
    for pattern in patterns:
        found = pattern.search(line.group())
        if found is None or _quotes(line.group(), found.start()) or _NOT.search(line.group()[: found.start()]):
            continue
        return _label_in(found, line.start())
    return None


def _label_in(found: re.Match[str], before: int = 0) -> _Named:
    """The label that a pattern has found, as a digit or in words."""
    [name] = [name for name, said in found.groupdict().items() if said]
    label = _DIGITS[found[name]] if name == "label" else {"one": "1", "two": "2"}[name]
    return _Named(label, before + found.start(name))


def _quotes(line: str, start: int) -> bool:
    """Whether what begins there is somebody else's words, in the middle of a line."""
    return line[:start].rstrip()[-1:] in _QUOTES and bool(re.search(r"\w", line[:start])) if start else False


def _beginning(tokens: Sequence[TokenLogprob]) -> Iterator[TokenLogprob]:
    """The first tokens of an answer: marks and white space, and the first word after them."""
    for token in tokens:
        yield token
        if re.search(r"\w", token.token):
            return


def _token_of(tokens: Sequence[TokenLogprob], text: str, named: _Named) -> TokenLogprob | None:
    """Token that holds the text's label, or the last such token where tokens and text differ."""
    begins = "".join(token.token for token in tokens).find(text)
    if begins >= 0:
        end = 0
        for token in tokens:
            end += len(token.token)
            if end > begins + named.at:
                return token
    return next((token for token in reversed(tokens) if _DIGITS.get(_bare(token.token)) == named.label), None)


class _Odds(NamedTuple):
    p_one: float
    mass: float


def _odds(token: TokenLogprob) -> _Odds:
    """p(1) / (p(1) + p(2)) at a token, and p(1) + p(2) as far as it is known."""
    known = {token.token: token.logprob} if token.logprob is not None else {}
    chances = {written: math.exp(min(logprob, 0.0)) for written, logprob in (known | token.alternatives).items()}
    labels: dict[str, float] = {}
    for written, chance in chances.items():
        if (label := _bare(written)) in _DIGITS:
            labels[_DIGITS[label]] = labels.get(_DIGITS[label], 0.0) + chance
    mass = sum(labels.values())
    if mass <= 0:
        return _Odds(0.5, 0.0)
    # What is not shown has no more than the last that is shown, nor more than all of them leave.
    missing = min(*chances.values(), max(0.0, 1 - sum(chances.values())))
    one, two = (labels.get(label, missing) for label in ("1", "2"))
    return _Odds(one / (one + two), mass)


def _mass_of(odds: _Odds) -> float:
    return odds.mass


def _bare(token: str) -> str:
    return spelled(token).strip().strip(_AROUND).strip()
