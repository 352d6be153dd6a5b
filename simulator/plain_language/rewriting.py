"""Rewriting officialese: its phrases said plainly, its readers addressed, its long sentences split.

Each move can be left out, so that a writer may do half the work. The English that comes out is as good as rules of
thumb make it.
"""

import re
from collections.abc import Collection
from pathlib import Path

from ...core.text import words
from ..chance import choose, happens
from ..word_lists import as_lists, read_words
from .lexicon import OFFICIALESE, Entry

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LONG = 16
"""Words from which on a sentence is worth splitting."""
_STOP = re.compile(r"(?<!\bNo[.])(?<![.]\w[.])(?<=[.!?])\s+(?=[^\W\d_a-z]|[\"'(£$€]?\d)")

AUDIENCE = as_lists(read_words(Path(__file__).with_name("words.yaml")))["audience"]
"""Readers as officialese names them; `you` says the same."""
_MANY = "|".join(word for word in AUDIENCE if word.endswith(("s", "people", "staff")))
_ONE = "|".join(word for word in AUDIENCE if not word.endswith(("s", "people", "staff")))
_DUTY = r"must|should|may|can|cannot|will|are|have"
_PLEASE = re.compile(
    rf"^(?:all |the )?(?:teaching )?(?:{_MANY}) are (?:kindly |respectfully )?(?:requested|asked|encouraged) to ", re.I
)
_YOU = re.compile(rf"^(?:all |the )?(?:{_MANY}) (?=(?:{_DUTY})\b)", re.I)
_YOU_ONE = re.compile(
    rf"^(?:the |each |every )(?:account )?(?:{_ONE}) (must|should|may|can|cannot|will|is|has)\b", re.I
)
_AGREEING = {"is": "are", "has": "have"}

_CONDITIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bShould you be\b", re.I), "if you are"),
    (re.compile(r"\bShould (it|the fault|the problem) (prove|persist)\b", re.I), r"if \1 \2s"),
    (re.compile(r"^Should you (?=\w)", re.I), "if you "),
    (re.compile(r"^Should (.{3,40}?) not be\b", re.I), r"if \1 is not"),
    (re.compile(r"^Should any (.{3,40}?) be\b", re.I), r"if any \1 are"),
    (re.compile(r"^Should (.{3,40}?) be\b", re.I), r"if \1 is"),
    (re.compile(r"^Should (.{3,40}?) have\b", re.I), r"if \1 has"),
    (re.compile(r"\bshould be found\b", re.I), "is found"),
    (re.compile(r"\b(?:furnish|supply|provide) ((?:the |your )?\w+) with the same\b", re.I), r"give it to \1"),
    (re.compile(r"\b(?:furnish|supply|provide) ((?:the |your )?\w+) with\b", re.I), r"give \1"),
    (re.compile(r"^Where (?=(?:an?|the|two|your)\b)", re.I), "if "),
)
_SPLITS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s*; (?:however|nevertheless), ", re.I), ". But "),
    (re.compile(r"\s*; (?:consequently|accordingly|therefore),? ", re.I), ". So "),
    (re.compile(r"\s*; (?:and |but )?", re.I), ". "),
    (re.compile(r", however,", re.I), ""),
    (re.compile(r",? failing which ", re.I), ". If not, "),
    (re.compile(r", in the absence of which ", re.I), ". Without it, "),
    (re.compile(r", in consequence of which ", re.I), ". So "),
    (re.compile(r", the (\w+) of which ", re.I), r". Its \1 "),
    (re.compile(r", which (?=(?:is|was|has|will|may|must|should|\w+s)\b[^,]*$)", re.I), ". This "),
    (re.compile(r", which (?=(?:are|were|have)\b[^,]*$)", re.I), ". These "),
    (re.compile(r",? but (?=(?:the|it|you|we|this|they) )", re.I), ". But "),
    (re.compile(r", and (?=(?:the|you|we|it|they|this|these|a|an|any|no|each) (?:\w+ ){1,5}?"
                r"(?:is|are|was|will|must|may|can|cannot|should|shall|has|have|does)\b)", re.I), ". "),
    (re.compile(r", (?:as|because) (?=(?:the|it|you|we|this|they|no) )", re.I), ". This is because "),
)  # fmt: skip
_TIDY: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s+([,.;:!?])"), r"\1"),
    (re.compile(r"([,:])\s*(?=[,.;])"), ""),
    (re.compile(r"([.!?])\.+(?=\s|$)"), r"\1"),
    (re.compile(r"\s{2,}"), " "),
    (re.compile(r"^[\s,;]+"), ""),
    (re.compile(r"\b(a|an) (?=a |an |the |your )", re.I), ""),
    (re.compile(r"\b(must|should|may|will) (?:to|please)\b", re.I), r"\1"),
    (re.compile(r"\b(\w+) \1\b(?= )", re.I), r"\1"),
)
_AN = re.compile(r"\b(a|an) (?=(\w+))", re.I)
_VOWEL = re.compile(r"(?:[aeio]|u(?!ni|se|sua|k|rin)|hour|honest)", re.I)


def rewrite(
    source: str, *parts: str | int, keep: Collection[Entry] = (), address: bool = True, split: bool = True
) -> str:
    """Plain words for a text, on one line; any text that has a word comes out with one.

    Args:
        source: What to rewrite.
        parts: What the choice among equally good wordings follows from.
        keep: Officialese to leave as it is.
        address: Whether readers may become `you`.
        split: Whether long sentences are split.
    """
    flat = " ".join(source.split())
    done = []
    for sentence in sentences(flat):
        text = _apply(_CONDITIONS, sentence)
        text = _say_plainly(text, keep, *parts) if not (address and _PLEASE.match(text)) else text
        if address:
            text = _address(text, *parts)
            text = _say_plainly(text, keep, *parts)
        if split and len(words(text)) > _LONG:
            text = _apply(_SPLITS, text)
        done.append(_finish(text))
    return " ".join(text for text in done if words(text)) or flat


def sentences(text: str) -> list[str]:
    """The sentences of a text on one line; at least one."""
    return _STOP.split(text.strip())


def _apply(moves: tuple[tuple[re.Pattern[str], str], ...], text: str) -> str:
    for pattern, said in moves:
        text = pattern.sub(said, text)
    return text


def _say_plainly(text: str, keep: Collection[Entry], *parts: str | int) -> str:
    spans = [match.span() for match in _WORD.finditer(text)]
    found = OFFICIALESE.find([text[start:end].lower() for start, end in spans])
    pieces, reached = [], 0
    for hit in found:
        start, end = spans[hit.start][0], spans[hit.end - 1][1]
        if hit.entry in keep or re.search(r"[,.;:()]", text[start:end]):
            continue
        wording = choose(hit.entry.plain, "wording", *hit.entry.phrase, *parts)
        pieces += [text[reached:start], wording]
        reached = end
    return "".join([*pieces, text[reached:]])


def _address(text: str, *parts: str | int) -> str:
    if _PLEASE.match(text):
        return _to_reader(_PLEASE.sub("please ", text))
    if not happens(0.6, "address", *parts):
        return text
    if _YOU.match(text):
        return _to_reader(_YOU.sub("you ", text))
    if _YOU_ONE.match(text):
        return _to_reader(_YOU_ONE.sub(lambda match: f"you {_AGREEING.get(match[1].lower(), match[1].lower())}", text))
    return text


def _to_reader(text: str) -> str:
    """A sentence about its readers, said to them."""
    text = re.sub(r"\b(?:their|his or her)\b", "your", text)
    return re.sub(r"\bthemselves\b", "yourself", text)


def _finish(text: str) -> str:
    text = _apply(_TIDY, text).strip()
    text = _AN.sub(lambda match: f"{_article(match[1], match[2])} ", text)
    text = re.sub(r"(?:^|(?<=[.!?] ))[\"'(]*[a-z]", lambda match: match[0].upper(), text)
    text = re.sub(r"\bi (?=say)", "I ", text)
    return text if text.endswith((".", "!", "?")) or not text else f"{text.rstrip(',;:')}."


def _article(article: str, word: str) -> str:
    said = "an" if _VOWEL.match(word) else "a"
    return said.capitalize() if article[0].isupper() else said
