from collections.abc import Sequence
from itertools import combinations

import pytest

from openmic.core.text import fold, words
from openmic.simulator.plain_language.profiles import RUBRICS
from openmic.simulator.plain_language.remarks import REMARKS
from openmic.simulator.plain_language.teacher import demonstrate
from openmic.simulator.skill import Rubric

CRITIC, JUDGE = RUBRICS["sim-critic"], RUBRICS["sim-judge"]


def one_each(notices: list[str], quality: float) -> list[tuple[str, str]]:
    return [(notice, demonstrate(notice, 1, quality, (), f"key {index}")[0]) for index, notice in enumerate(notices)]


def share(rubric: Rubric, pairs: Sequence[tuple[str, str]]) -> float:
    return sum(rubric.assess(source, text).meets for source, text in pairs) / len(pairs)


def test_the_share_of_good_outputs_is_the_quality(notices: list[str]) -> None:
    pairs = one_each(notices, 0.35)
    assert 0.30 <= share(CRITIC, pairs) <= 0.40
    assert 0.25 <= share(JUDGE, pairs) <= 0.45


@pytest.mark.parametrize("quality", [0.0, 1.0])
def test_quality_at_its_ends_is_exact_for_every_shipped_notice(notices: list[str], quality: float) -> None:
    assert share(CRITIC, one_each(notices, quality)) == quality


def test_good_and_flawed_are_clearly_apart(notices: list[str]) -> None:
    good = sorted(CRITIC.assess(*pair).score for pair in one_each(notices, 1.0))
    flawed = sorted(CRITIC.assess(*pair).score for pair in one_each(notices, 0.0))
    assert good[len(good) // 20] > flawed[len(flawed) * 19 // 20]
    assert sum(good) / len(good) - sum(flawed) / len(flawed) > 0.25


def test_flaws_are_of_every_sort(notices: list[str]) -> None:
    failed = dict.fromkeys(CRITIC.thresholds, 0)
    for index, notice in enumerate(notices):
        for text in demonstrate(notice, 3, 0.0, (), f"{index}"):
            parts = CRITIC.assess(notice, text).parts
            for name, least in CRITIC.thresholds.items():
                failed[name] += parts[name] < least
    assert min(count for name, count in failed.items() if name != "short") > 150, failed
    assert failed["short"] >= 5


def test_texts_of_one_reply_nearly_always_differ(notices: list[str]) -> None:
    replies = [demonstrate(notice, 3, 0.35, (), f"{index}") for index, notice in enumerate(notices)]
    assert sum(len({fold(text) for text in texts}) == 3 for texts in replies) > 0.97 * len(notices)


def test_the_first_texts_do_not_depend_on_how_many_follow(notices: list[str]) -> None:
    assert demonstrate(notices[0], 6, 0.5, (), "k")[:2] == demonstrate(notices[0], 2, 0.5, (), "k")


@pytest.mark.parametrize(
    "source",
    ["Rain", "Is this the bus?", "Help!", "{the} {body}", "a" * 500, "Ça va. Ok...", "1 2 3", "hereby", "shall " * 300],
)
def test_any_text_has_plain_versions(source: str) -> None:
    texts = demonstrate(source, 6, 0.5, (), "k")
    assert len(texts) == 6
    assert all(map(words, texts))
    assert not any("\n" in text for text in texts)


def test_critic_and_judge_mostly_agree_on_clear_pairs(notices: list[str]) -> None:
    agreed = clear = 0
    for index, notice in enumerate(notices[:150]):
        for one, two in combinations(demonstrate(notice, 4, 0.35, (), f"pair {index}"), 2):
            gap = CRITIC.assess(notice, one).score - CRITIC.assess(notice, two).score
            if abs(gap) > 0.08:
                clear += 1
                agreed += (JUDGE.assess(notice, one).score > JUDGE.assess(notice, two).score) == (gap > 0)
    assert clear > 300
    assert 0.7 <= agreed / clear <= 0.98


def test_a_suggestion_words_the_hardest_sentence_plainly() -> None:
    source = "The bus left. Applicants are required to submit the form prior to departure."
    suggestion = REMARKS.suggest(source, "k")
    assert "bus" not in suggestion
    assert "form before leaving" in suggestion
    assert list(CRITIC.lexicon.find(words(suggestion))) == []


def test_a_critique_quotes_what_is_stiff_and_names_what_is_lost() -> None:
    details = REMARKS.details("Submit form 12 prior to lunch.", "Do it prior to lunch.")
    assert details["stiff"] == "'prior to'"
    assert details["lost"] == "'12' and 'form'"
