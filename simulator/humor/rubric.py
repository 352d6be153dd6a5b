"""How a simulated critic judges a paraphrase: five parts, each from 0 to 1, and a score drawn from them.

| part | 1 means |
|---|---|
| device | a comic device was added: its marker, a word of the sentence come back to, comic matter |
| meaning | the sentence's content words are all there |
| brevity | no longer than a joke may be |
| original | it says something the sentence does not |
| fresh | its ending is neither a stock phrase nor heard too often, and nothing is said over and over |

The rubric looks at words alone. It is a known standard to measure learning against, not a theory of humor.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...core.english import content_stems, is_function_word, stem
from ...core.text import ending, words
from ..chance import normal
from ..repetition import repetition
from ..skill import Assessment

PARTS = ("device", "meaning", "brevity", "original", "fresh")

_NEW_WORDS_WANTED = 4
_FREE_WORDS = 12
"""Words that a short sentence may always be extended by."""


@dataclass(frozen=True)
class HumorRubric:
    """One judge's standard. Pure: the same texts always get the same assessment."""

    name: str
    weights: Mapping[str, float]
    """How much each part counts; they add up to 1."""
    thresholds: Mapping[str, float]
    """What each part must reach."""
    markers: tuple[tuple[re.Pattern[str], float], ...]
    """How devices are recognised in a folded text, and how strong a sign of one each pattern is."""
    comic_stems: frozenset[str]
    """Stems of words that are funny where they do not belong."""
    stale_phrases: tuple[str, ...]
    """Folded phrases heard once too often, wherever in a text they stand."""
    device_shares: tuple[float, float, float]
    """What a marker, a word come back to, and comic matter count for within `device`."""
    sharpness: float
    """How steeply a difference in score turns into a preference."""
    noise_sd: float = 0.0
    """Standard deviation of a disturbance of the score that is fixed for each pair of texts."""
    fillers: tuple[str, ...] = field(default=())
    """Folded phrases that say nothing: a text that adds one has no device."""

    def assess(self, sentence: str, text: str, heard: Sequence[str] = ()) -> Assessment:
        """Judges `text` as a humorous paraphrase of `sentence`.

        Args:
            sentence: The literal sentence.
            text: The paraphrase; anything at all, the empty text included.
            heard: Endings that were heard too often lately, of any length; the last three words of each count.
        """
        said, given = words(text), words(sentence)
        if not said:
            return Assessment(score=0.0, parts=dict.fromkeys(PARTS, 0.0), meets=False)
        parts = {
            "device": self._device(said, given),
            "meaning": _meaning(said, sentence),
            "brevity": _brevity(len(said), len(given)),
            "original": _original(said, given),
            "fresh": self._fresh(said, given, heard),
        }
        # Being short, new and fresh is worth nothing in a text that neither keeps the sentence nor jokes about it.
        worth = max(parts["device"], parts["meaning"])
        score = sum(
            self.weights[name] * value * (1.0 if name in ("device", "meaning") else worth)
            for name, value in parts.items()
        )
        score *= 1 - repetition(said, given)
        if self.noise_sd:
            score += self.noise_sd * normal(self.name, sentence, text)
        return Assessment(
            score=min(1.0, max(0.0, score)),
            parts=parts,
            meets=all(value >= self.thresholds[name] for name, value in parts.items()),
        )

    def _device(self, said: list[str], given: list[str]) -> float:
        folded, source = " ".join(said), " ".join(given)
        added = list((Counter(said) - Counter(given)).elements())
        if len(added) < 2 or any(filler in folded and filler not in source for filler in self.fillers):
            return 0.0
        marker = max(
            (
                strength
                for pattern, strength in self.markers
                if len(pattern.findall(folded)) > len(pattern.findall(source))
            ),
            default=0.0,
        )
        new_stems = {stem(word) for word in added if not is_function_word(word)}
        comic = len((new_stems & self.comic_stems) - {stem(word) for word in given})
        reuse = any(stem(word) in set(content_stems(source)) for word in added if not is_function_word(word))
        signs = (marker, float(reuse), min(1.0, comic / 2))
        return sum(share * sign for share, sign in zip(self.device_shares, signs, strict=True))

    def _fresh(self, said: list[str], given: list[str], heard: Sequence[str]) -> float:
        folded, source = " ".join(said), " ".join(given)
        if any(phrase in folded and phrase not in source for phrase in self.stale_phrases):
            return 0.1
        if ending(folded) in {ending(line) for line in heard if words(line)}:
            return 0.2
        return 1 - repetition(said, given)


def _meaning(said: list[str], sentence: str) -> float:
    wanted = Counter(content_stems(sentence))
    if not wanted:
        return 0.0
    kept = wanted & Counter(stem(word) for word in said)
    return kept.total() / wanted.total()


def _brevity(said: int, given: int) -> float:
    """Brevity: 1 up to 1.9 times the sentence's length, 0 from 3 times on. A short sentence has an allowance."""
    full = max(1.9 * given, given + _FREE_WORDS)
    none = max(3.0 * given, given + 2.0 * _FREE_WORDS)
    return min(1.0, max(0.0, (none - said) / (none - full)))


def _original(said: list[str], given: list[str]) -> float:
    new = (Counter(said) - Counter(given)).total()
    return min(1.0, new / _NEW_WORDS_WANTED)
