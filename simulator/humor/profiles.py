"""The standards of the critic, of the judge, and of two further critics for a jury.

They agree on what a good paraphrase is and differ in taste: weights, thresholds, which devices they know, what strikes
them as comic and what as stale. All but the first critic have moods besides. A student that pleases the critic alone
shows it here.
"""

import re
from dataclasses import replace
from pathlib import Path

from ...core.english import is_function_word, stem
from ...core.text import words
from ..word_lists import as_lists, fold_all, read_words
from .lexicon import FILLERS, SLOTS, STOCK_PHRASES
from .rubric import HumorRubric

_HUMAN = (
    r"asked for|not stopped|blames?|would (?:like|only call)|(?:is|are) already|quietly dreamed|been promised|spent the"
    r"|sends? (?:its|their) regards|(?:is|are) jealous|refus\w+ to|demand\w*|insist\w*|complain\w*|apologi[sz]ed"
    r"|resign\w*|hired|announced|retained|joined|filed for|promised|wants?|dream\w*|warned|looked on|took it|handled it"
)
_OFFICES = (
    r"ministry|department|bureau|committee|commission|agency|council|tribunal|office|institute|board|inspectorate"
)

_CRITIC_MARKERS = (
    (r"\blike an? \w+", 1.0),
    (r"\bas (?:if|though)\b", 1.0),
    (r"\bas \w+ as\b", 1.0),
    (r"\benough (?:\w+ )?to\b", 1.0),
    (r"\bso (?:much so|\w+ly) that\b", 1.0),
    (r"\bto (?:such an extent that|the point where)\b", 1.0),
    (rf"\b(?:{_HUMAN})\b", 1.0),
    (rf"\b(?:{_OFFICES})\b", 1.0),
    (r"\b(?:and|so|because|while|which|that|until) (?:the|an?|one of the) \w+(?: \w+)? (?:has|have|had)\b", 0.6),
    (r"\band (?:somewhere |now )?the \w+(?: \w+)? (?:is|are|was|were)\b", 0.5),
    (r"\ball the \w+ of\b|\bgave (?:the|one of)\b|\bjust as the\b", 1.0),
    (r"\b(?:described|remembered?|classified|counts) (?:the \w+ )?as\b", 1.0),
    (r"\bcalled it\b|\bcounts? as\b|\bto put it (?:gently|mildly)\b|\bhardly the\b", 1.0),
    (r"\bwhich is (?:how|exactly)\b|\bas a result\b|\bmust now\b|\bhad become\b|\bpromoted\b|\bfilm version\b", 1.0),
    (
        r"\baccording to\b|\bpending an?\b|\bin breach of\b|\bfor the record\b|\bsources close to\b|\bconfirms that\b",
        1.0,
    ),
    (r"\b(?:by|before|within) (?:the )?(?:friday|tuesday|lunchtime|sunset|hour|dessert|end)\b", 0.6),
    (r"\b(?:nasa|vatican|navy|admirals?|bishops?|geese|pigeons|wizard|walrus|penguin)\b", 0.6),
    (r"\b(?:and|so|while) (?:now )?the \w+", 0.4),
)
_JUDGE_MARKERS = (
    (r"\blike an? \w+", 1.0),
    (r"\bas (?:if|though)\b", 1.0),
    (r"\bas \w+ as\b", 1.0),
    (r"\benough (?:\w+ )?to\b", 0.8),
    (r"\bso (?:\w+ )?(?:much|\w+ly)\b.*\bthat\b|\bto the point\b|\bsuch an extent\b", 1.0),
    (r"\b(?:and|so|because|while) (?:now )?(?:the|one of the) \w+(?: \w+)? (?:\w+ ){0,2}\w+", 0.8),
    (rf"\b(?:{_OFFICES}|society|academy|embassy|registry|federation)\b", 0.8),
    (r"\bwhich (?:\w+ )*(?:as|for|is|left|went)\b", 0.7),
    (r"\baccording to\b|\binquiry\b|\btreaty\b|\bfor the record\b|\bofficially\b|\bstatement\b", 1.0),
    # The judge's own: irony, afterthought, and asides, of which the critic knows nothing.
    (r"\b(?:apparently|allegedly|reportedly|naturally|technically|arguably|presumably|famously|tragically)\b", 1.0),
    (
        r"\b(?:except that|unless you|if only|let us|in theory|not that the|so to speak|in its defence|to be fair)\b",
        1.0,
    ),
    (r"\b(?:nobody asked|no relation|refunds|batteries not included|terms and conditions apply)\b", 1.0),
    (r"\b(?:history|legend|future generations|historians)\b", 0.8),
)

_TASTE = as_lists(read_words(Path(__file__).with_name("taste.yaml")))


def _stems(*texts: str) -> frozenset[str]:
    return frozenset(stem(word) for text in texts for word in words(text) if not is_function_word(word))


def _comic(*slots: str) -> frozenset[str]:
    """The comic matter in these slots and in the common list."""
    return _stems(*_TASTE["comic"], *(filler for slot in slots for filler in SLOTS[slot])) - _stems(*_TASTE["everyday"])


def _compiled(markers: tuple[tuple[str, float], ...]) -> tuple[tuple[re.Pattern[str], float], ...]:
    return tuple((re.compile(pattern), strength) for pattern, strength in markers)


def _without(phrases: tuple[str, ...], unknown: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(phrase for phrase in phrases if phrase not in unknown)


_FILLERS = fold_all([filler.removesuffix("{the}") for filler in FILLERS])

_CRITIC = HumorRubric(
    name="sim-critic",
    weights={"device": 0.28, "meaning": 0.22, "brevity": 0.16, "original": 0.16, "fresh": 0.18},
    thresholds={"device": 0.55, "meaning": 0.75, "brevity": 0.5, "original": 0.75, "fresh": 0.6},
    markers=_compiled(_CRITIC_MARKERS),
    comic_stems=_comic(*SLOTS),
    stale_phrases=fold_all(STOCK_PHRASES),
    fillers=_FILLERS,
    device_shares=(0.4, 0.25, 0.35),
    sharpness=14.0,
)
_JUDGE = HumorRubric(
    name="sim-judge",
    weights={"device": 0.32, "meaning": 0.24, "brevity": 0.08, "original": 0.06, "fresh": 0.3},
    thresholds={"device": 0.5, "meaning": 0.8, "brevity": 0.4, "original": 0.75, "fresh": 0.5},
    markers=_compiled(_JUDGE_MARKERS),
    comic_stems=_comic(*(slot for slot in SLOTS if slot not in _TASTE["judge_deaf_to"])),
    stale_phrases=fold_all(_without(STOCK_PHRASES, _TASTE["judge_forgives"]) + _TASTE["judge_tired_of"]),
    fillers=_without(_FILLERS, _TASTE["judge_forgives"]),
    device_shares=(0.4, 0.2, 0.4),
    sharpness=14.0,
    noise_sd=0.05,
)
_FAITHFUL_CRITIC = replace(
    _CRITIC,
    name="sim-critic-2",
    weights={"device": 0.2, "meaning": 0.36, "brevity": 0.2, "original": 0.1, "fresh": 0.14},
    sharpness=11.0,
    noise_sd=0.06,
)
_EASILY_AMUSED_CRITIC = replace(
    _CRITIC,
    name="sim-critic-3",
    weights={"device": 0.42, "meaning": 0.14, "brevity": 0.08, "original": 0.22, "fresh": 0.14},
    device_shares=(0.3, 0.2, 0.5),
    sharpness=18.0,
    noise_sd=0.08,
)

RUBRICS: dict[str, HumorRubric] = {
    rubric.name: rubric for rubric in (_CRITIC, _JUDGE, _FAITHFUL_CRITIC, _EASILY_AMUSED_CRITIC)
}
"""The standards by model id."""
