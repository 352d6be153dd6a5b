"""The standards of the critic, of the judge, and of two further critics for a jury.

They agree on what plain language is and differ in how much they mind: the judge lets some officialese pass, minds words
that the others take for plain, and has moods, as the further critics have.
"""

from dataclasses import replace
from pathlib import Path

from ..word_lists import as_lists, fold_all, read_words
from .lexicon import OFFICIALESE
from .padding import PATRONISING, PATRONISING_CLOSINGS
from .rubric import PlainRubric

_TASTE = as_lists(read_words(Path(__file__).with_name("taste.yaml")))

_FILLERS = fold_all([*PATRONISING, *PATRONISING_CLOSINGS, "simply put", "don't worry", "easy to understand"])

_CRITIC = PlainRubric(
    name="sim-critic",
    weights={"plain": 0.28, "short": 0.12, "facts": 0.24, "brief": 0.14, "own": 0.08, "direct": 0.14},
    thresholds={"plain": 0.7, "short": 0.45, "facts": 0.72, "brief": 0.5, "own": 0.75, "direct": 0.6},
    lexicon=OFFICIALESE,
    fillers=_FILLERS,
    sharpness=18.0,
)
_JUDGE = PlainRubric(
    name="sim-judge",
    weights={"plain": 0.34, "short": 0.18, "facts": 0.26, "brief": 0.06, "own": 0.06, "direct": 0.1},
    thresholds={"plain": 0.7, "short": 0.5, "facts": 0.75, "brief": 0.4, "own": 0.7, "direct": 0.6},
    lexicon=OFFICIALESE.without(*_TASTE["judge_lets_pass"]).with_more(*_TASTE["judge_minds"]),
    fillers=fold_all(PATRONISING[:6] + PATRONISING_CLOSINGS[:5]),
    sharpness=18.0,
    noise_sd=0.05,
)
_CAREFUL_CRITIC = replace(
    _CRITIC,
    name="sim-critic-2",
    weights={"plain": 0.2, "short": 0.1, "facts": 0.42, "brief": 0.08, "own": 0.1, "direct": 0.1},
    sharpness=14.0,
    noise_sd=0.06,
)
_IMPATIENT_CRITIC = replace(
    _CRITIC,
    name="sim-critic-3",
    weights={"plain": 0.34, "short": 0.26, "facts": 0.14, "brief": 0.18, "own": 0.04, "direct": 0.04},
    sharpness=22.0,
    noise_sd=0.08,
)

RUBRICS: dict[str, PlainRubric] = {
    rubric.name: rubric for rubric in (_CRITIC, _JUDGE, _CAREFUL_CRITIC, _IMPATIENT_CRITIC)
}
"""The standards by model id."""
