"""The teacher: humorous paraphrases of any sentence, of which a known share is good.

A good one keeps the sentence and adds a comic device; it meets the critic's rubric. All others have a definite flaw and
do not meet it.
"""

from collections.abc import Callable, Sequence

from ...core.text import ending, words
from ..chance import choose, happens, uniform
from ..teaching import Parts, write_texts
from .devices import DEVICES, fill, joke, pick_noun
from .lexicon import FILLERS, RAMBLES, STOCK_PHRASES, VAGUE_BODIES
from .profiles import RUBRICS
from .sentences import Sentence, read_sentence

_SECOND_FLAW_RATE = 0.15
_TOO_LONG = 3.4
"""Words of a rambling text for each word of its sentence."""


def demonstrate(sentence: str, count: int, quality: float, heard: Sequence[str], key: str) -> list[str]:
    """Writes `count` different paraphrases.

    Args:
        sentence: The literal sentence, any text with a word in it.
        count: How many to write; the first ones do not depend on how many follow.
        quality: The share that shall meet the critic's rubric, kept as evenly as it can be from the first to the last.
        heard: Endings that good ones avoid.
        key: The hash of the request, which settles everything.
    """
    read = read_sentence(sentence)
    stale = {ending(line) for line in heard}
    critic = RUBRICS["sim-critic"]

    def write(good: bool, parts: Parts) -> str:
        return joke(read, *parts) if good else flawed(read, *parts)

    def suits(good: bool, text: str) -> bool:
        return not (good and ending(text) in stale) and critic.assess(sentence, text, heard).meets == good

    return write_texts(count, quality, key, write, suits)


def flawed(sentence: Sentence, *parts: str | int) -> str:
    """A paraphrase with a flaw, now and then with two."""
    text = choose(_FLAWS, "flaw", *parts)(sentence, *parts)
    if happens(_SECOND_FLAW_RATE, "second flaw", *parts):
        return f"{text.rstrip('.!?')}, {choose(STOCK_PHRASES, 'second stock', *parts)}."
    return text


def _bland(sentence: Sentence, *parts: str | int) -> str:
    return fill("{body}, " + choose(FILLERS, "filler", *parts), sentence, *parts)


def _rambling(sentence: Sentence, *parts: str | int) -> str:
    """A joke that does not know when to stop."""
    text = joke(sentence, *parts).rstrip(".")
    longest = len(words(sentence.body)) * _TOO_LONG + 30
    noun = pick_noun(sentence, *parts).name
    start = int(uniform("ramble", *parts) * len(RAMBLES))
    step = 0
    while len(words(text)) < longest:
        text = f"{text}, {RAMBLES[(start + step) % len(RAMBLES)].replace('{the}', noun)}"
        step += 1
    return f"{text}."


def _copied(sentence: Sentence, *parts: str | int) -> str:
    return sentence.body if sentence.question or happens(0.2, "stop", *parts) else f"{sentence.body}."


def _lost(sentence: Sentence, *parts: str | int) -> str:
    """A joke about nothing: the device is there, what the sentence said is not."""
    empty = Sentence(body=choose(VAGUE_BODIES, "vague", *parts), question=False, nouns=())
    patterns = choose(tuple(DEVICES.values()), "device", *parts)
    return fill(choose(patterns, "pattern", *parts), empty, *parts)


def _stale(sentence: Sentence, *parts: str | int) -> str:
    return fill("{body}, " + choose(STOCK_PHRASES, "stock", *parts), sentence, *parts)


_FLAWS: tuple[Callable[..., str], ...] = (_bland, _rambling, _copied, _lost, _stale)
