"""Numbers about texts: how long against their inputs, how varied among themselves, how far apart.

All are counted in words, or in letters where a text's script has no spaces between words (`core.text.words`).
"""

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from rapidfuzz.distance import Levenshtein

from ..core.text import ending, fold, length, words

MOST_TEXTS: Final = 1000
"""Of more, self-BLEU takes a sample."""
MOST_WORDS: Final = 1000
"""Of a longer text, self-BLEU takes the beginning."""
_ORDERS: Final = (1, 2, 3, 4)
_FLOOR: Final = 0.1
"""What stands for no n-gram in common, so that a product has a logarithm (Chen and Cherry 2014, method 1)."""


def length_ratio(text: str, source: str) -> float:
    """Words of a text over words of what it is compared with; 0 for an empty text."""
    return length(text) / max(1, length(source))


def distinct_n(texts: Sequence[str], n: int = 2) -> float:
    """Distinct n-grams over all n-grams of the texts (Li et al. 2016), in [0, 1]; 0 where there are none."""
    grams = [gram for text in texts for gram in ngrams(words(text), n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def ngram_edit_distance(first: str, second: str, n: int = 2) -> float:
    """Edit distance between the texts' sequences of word n-grams over the longer one's length, in [0, 1].

    What "Small But Funny" (Ravi et al. 2024) picks the most different pair of candidates by.
    """
    a, b = ngrams(words(first), n), ngrams(words(second), n)
    return Levenshtein.distance(a, b) / max(len(a), len(b), 1)


def self_bleu(texts: Sequence[str], *, seed: int) -> float | None:
    """The mean of each text's BLEU-4 against all others (Zhu et al. 2018), in [0, 1]: the higher, the less varied.

    BLEU is that of Papineni et al. (2002) as nltk's `sentence_bleu` with smoothing method 1 has it, over
    `core.text.words`; of a text without words it is 1 where another has none, else 0. It grows with the number of
    texts: compare arms on as many.

    Args:
        texts: Of more than `MOST_TEXTS` that many are drawn, and of each at most `MOST_WORDS` are read.
        seed: Draws them.

    Returns:
        None of fewer than two texts.
    """
    if len(texts) < 2:
        return None
    drawn = random.Random(seed).sample(texts, MOST_TEXTS) if len(texts) > MOST_TEXTS else texts  # noqa: S311
    said = [words(text)[:MOST_WORDS] for text in drawn]
    lengths = Counter(map(len, said))
    matched = [_matched(said, order) for order in _ORDERS]
    found = []
    for place, own in enumerate(said):
        if not own:
            found.append(float(lengths[0] > 1))
            continue
        if not matched[0][place]:
            found.append(0.0)
            continue
        lengths[len(own)] -= 1
        closest = min((size for size, count in lengths.items() if count), key=lambda size: (abs(size - len(own)), size))
        lengths[len(own)] += 1
        logs = [
            math.log((matched[order - 1][place] or _FLOOR) / max(1, len(own) - order + 1)) / len(_ORDERS)
            for order in _ORDERS
        ]
        found.append(math.exp(sum(logs) + min(0.0, 1 - closest / len(own))))
    return sum(found) / len(found)


def reused_endings(texts: Sequence[str]) -> float:
    """Share of the texts that end as another of them does, by `core.text.ending`, in [0, 1]; 0 of no texts."""
    ends = Counter(map(_end, texts))
    return sum(count for count in ends.values() if count > 1) / len(texts) if texts else 0.0


def unique_endings(texts: Sequence[str]) -> float:
    """Different endings over texts, by `core.text.ending`, in [0, 1]; 0 of no texts."""
    return len(set(map(_end, texts))) / len(texts) if texts else 0.0


class Known:
    """Texts that were trained on (or an input), to tell what others only repeat of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Reads them; the texts themselves are not kept."""
        self._whole, self._grams = set[int](), set[int]()
        for text in texts:
            self._whole.add(hash(_alike(text)))
            self._grams.update(map(hash, ngrams(words(text), 4)))

    def holds(self, text: str) -> bool:
        """Whether a text is one of them but for case, spacing and punctuation."""
        return hash(_alike(text)) in self._whole

    def overlap(self, text: str) -> float:
        """Share of the text's word 4-grams that one of them has, in [0, 1]; 0 of a text without words.

        A text of fewer than four words is one gram, which none but the same words can have.
        """
        grams = ngrams(words(text), 4)
        return sum(hash(gram) in self._grams for gram in grams) / len(grams) if grams else 0.0


def _alike(text: str) -> str:
    """What texts have in common that say the same; of one without words, such as emoji, itself."""
    return fold(text) or text.strip()


def _end(text: str) -> str:
    return ending(text) or text.strip()


def _matched(said: Sequence[Sequence[str]], order: int) -> list[int]:
    """Of each text, how many of its n-grams the others have.

    Each counts at most as often as that other text says it which says it most. The two largest counts of every n-gram
    are enough for that, so the work grows with the texts and not with their square.
    """
    counts = [Counter(zip(*(tokens[start:] for start in range(order)), strict=False)) for tokens in said]
    most: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for place, own in enumerate(counts):
        for gram, count in own.items():
            first, who, second = most.get(gram, (0, -1, 0))
            most[gram] = (count, place, first) if count > first else (first, who, max(second, count))

    def of_others(gram: tuple[str, ...], place: int) -> int:
        first, who, second = most[gram]
        return second if who == place else first

    return [sum(min(count, of_others(gram, place)) for gram, count in own.items()) for place, own in enumerate(counts)]


def ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All n-grams in order; the whole sequence as one where it is shorter than n."""
    if 0 < len(tokens) < n:
        return [tuple(tokens)]
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
