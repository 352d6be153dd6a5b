"""What an arm's texts are like, whoever judges them: length, variety, novelty, copies, and what scorers say.

What is measured of each text is averaged over inputs and seeds, with its interval. Variety is a number of all texts of
one seed together; it has no bootstrap interval, since a resample says texts twice and so is less varied than any
sample. The seeds' own values show how far it can be trusted.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...core.config import EvaluationSettings
from ...core.records import JudgedOutput
from ..intervals import Interval, plain
from ..measures import faithfulness
from ..text_metrics import Known, distinct_n, length_ratio, reused_endings, self_bleu, unique_endings
from .pooled import balanced, pooled_mean


@dataclass(frozen=True, slots=True)
class Variety:
    """A number of all texts of one seed together."""

    value: float
    """The mean over the seeds."""
    by_seed: dict[int, float]


@dataclass(frozen=True, slots=True)
class ArmTexts:
    """Shares and rates are in [0, 1], but for length ratios. All are over the inputs that every seed has."""

    length_ratio: Interval
    """Words over words of the input."""
    reference_length_ratio: Interval
    """Words over words of what the text was compared with."""
    faithfulness: Interval
    """Share of the input's content words that are said too (`measures.faithfulness`)."""
    copies: Interval
    """Share of texts that are their input again, but for case, spacing and punctuation."""
    copied: Interval
    """Share of a text's 4-grams that its input has."""
    novelty: Interval | None
    """Share of a text's 4-grams that nothing trained on has (1 of a text without words); None where it is not known."""
    known: Interval | None
    """Share of texts that were trained on word by word."""
    distinct_1: Variety
    distinct_2: Variety
    self_bleu: Variety | None
    """None where a seed has one text alone."""
    reused_endings: Variety
    """Share of texts that end as another does."""
    unique_endings: Variety
    """Different endings over texts."""
    scores: dict[str, Interval]
    """The mean of each scorer over the inputs on which it scored every seed's text."""
    unscored: dict[str, int]
    """On how many texts each scorer failed, where it did."""

    def as_json(self) -> dict[str, Any]:
        """The fields, intervals as `value` and `ci`."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def arm_texts(
    outputs: Sequence[JudgedOutput], settings: EvaluationSettings, seed: int, *, trained_on: Iterable[str] | None = None
) -> ArmTexts | None:
    """Measure an arm's texts; None where no input has an output of every seed.

    Args:
        outputs: At most one of each input and seed.
        settings: The confidence, and how many resamples.
        seed: Makes bootstraps, and the sample for self-BLEU, reproducible.
        trained_on: All outputs that any of its trainings learned from. None: not known.
    """
    seeds = sorted({one.seed for one in outputs})
    places = {one.place for one in outputs}
    kept = [one for one in outputs if all((one.input_id, each) in places for each in seeds)]
    if not kept:
        return None

    def mean(value: Callable[[JudgedOutput], float], within: tuple[float, float] = (0.0, 1.0)) -> Interval:
        return pooled_mean(balanced({one.place: value(one) for one in kept})[0], settings, seed, within=within)

    def ratio(value: Callable[[JudgedOutput], float]) -> Interval:
        return mean(value, (0.0, max(map(value, kept))))

    def variety(value: Callable[[Sequence[str]], float]) -> Variety:
        by_seed = {each: value([one.text for one in kept if one.seed == each]) for each in seeds}
        return Variety(sum(by_seed.values()) / len(by_seed), by_seed)

    known = None if trained_on is None else Known(trained_on)
    names = list(dict.fromkeys(name for one in kept for name in one.scores))
    scores: dict[str, Interval] = {}
    for name in names:
        values = balanced({one.place: one.scores[name] for one in kept if name in one.scores})[0]
        if values.size:
            span = min(0.0, float(values.min())), max(1.0, float(values.max()))
            scores[name] = pooled_mean(values, settings, seed, within=span)
    unscored = {name: sum(name not in one.scores for one in kept) for name in names}
    return ArmTexts(
        length_ratio=ratio(lambda one: length_ratio(one.text, one.source)),
        reference_length_ratio=ratio(lambda one: length_ratio(one.text, one.reference)),
        faithfulness=mean(lambda one: faithfulness(one.source, [one.text])[0]),
        copies=mean(lambda one: float(Known([one.source]).holds(one.text))),
        copied=mean(lambda one: Known([one.source]).overlap(one.text)),
        novelty=None if known is None else mean(lambda one: 1 - known.overlap(one.text)),
        known=None if known is None else mean(lambda one: float(known.holds(one.text))),
        distinct_1=variety(lambda texts: distinct_n(texts, 1)),
        distinct_2=variety(distinct_n),
        self_bleu=variety(lambda texts: self_bleu(texts, seed=seed) or 0.0) if len(kept) > len(seeds) else None,
        reused_endings=variety(reused_endings),
        unique_endings=variety(unique_endings),
        scores=scores,
        unscored={name: count for name, count in unscored.items() if count},
    )
