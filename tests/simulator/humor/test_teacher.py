from collections.abc import Sequence
from itertools import combinations

import pytest

from openmic.core.text import ending, fold, words
from openmic.simulator.humor.devices import DEVICES, fill
from openmic.simulator.humor.lexicon import SLOTS
from openmic.simulator.humor.profiles import RUBRICS
from openmic.simulator.humor.sentences import read_sentence
from openmic.simulator.humor.teacher import demonstrate
from openmic.simulator.skill import Rubric

CRITIC, JUDGE = RUBRICS["sim-critic"], RUBRICS["sim-judge"]


def one_each(sentences: list[str], quality: float = 0.35) -> list[tuple[str, str]]:
    return [
        (sentence, demonstrate(sentence, 1, quality, (), f"key {index}")[0]) for index, sentence in enumerate(sentences)
    ]


def share(rubric: Rubric, pairs: Sequence[tuple[str, str]]) -> float:
    return sum(rubric.assess(source, text).meets for source, text in pairs) / len(pairs)


def test_the_share_of_good_outputs_is_the_quality(sentences: list[str]) -> None:
    pairs = one_each(sentences)
    assert 0.30 <= share(CRITIC, pairs) <= 0.40
    assert 0.20 <= share(JUDGE, pairs) <= 0.40


@pytest.mark.parametrize(("quality", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_quality_at_its_ends_is_exact(sentences: list[str], quality: float, expected: float) -> None:
    assert share(CRITIC, one_each(sentences[:100], quality)) == expected


def test_a_reply_keeps_the_share_as_evenly_as_it_can(sentences: list[str]) -> None:
    for index, sentence in enumerate(sentences[:20]):
        texts = demonstrate(sentence, 10, 0.5, (), f"{index}")
        assert sum(CRITIC.assess(sentence, text).meets for text in texts) == 5


def test_good_outputs_keep_the_sentence_and_add_a_little(sentences: list[str]) -> None:
    for sentence, text in one_each(sentences, quality=1.0):
        added = len(words(text)) - len(words(sentence))
        assert 2 <= added <= 17
        assert set(words(sentence)) <= set(words(text))
        assert "{" not in text
        assert text.endswith(".")


def test_endings_are_mostly_different(sentences: list[str]) -> None:
    assert len({ending(text) for _, text in one_each(sentences)}) >= 220


def test_flaws_are_of_every_sort(sentences: list[str]) -> None:
    failed = dict.fromkeys(CRITIC.thresholds, 0)
    for sentence, text in one_each(sentences, quality=0.0):
        parts = CRITIC.assess(sentence, text).parts
        for name, least in CRITIC.thresholds.items():
            failed[name] += parts[name] < least
    assert all(count >= 25 for count in failed.values()), failed


def test_texts_of_one_reply_differ() -> None:
    texts = demonstrate("It rained.", 12, 0.35, (), "k")
    assert len({fold(text) for text in texts}) == 12


def test_the_first_texts_do_not_depend_on_how_many_follow() -> None:
    assert demonstrate("The bus left.", 6, 0.5, (), "k")[:2] == demonstrate("The bus left.", 2, 0.5, (), "k")


def test_heard_endings_are_avoided() -> None:
    first = demonstrate("The bus left the town.", 1, 1.0, (), "k")[0]
    again = demonstrate("The bus left the town.", 1, 1.0, (ending(first),), "k")[0]
    assert ending(again) != ending(first)


@pytest.mark.parametrize(
    "sentence", ["Rain", "Is this the bus?", "Help!", "{the} {body}", "a" * 500, "Ça va. Ok...", "1 2 3"]
)
def test_any_text_can_be_paraphrased(sentence: str) -> None:
    texts = demonstrate(sentence, 6, 0.5, (), "k")
    assert len(texts) == 6
    assert all(texts)


def test_a_question_is_followed_by_a_sentence_of_its_own() -> None:
    assert fill("{body}, and {other} wants {demand} too", read_sentence("Has the bus left?"), "k").startswith(
        "Has the bus left? The "
    )


def test_there_is_variety_to_draw_from() -> None:
    assert len(DEVICES) == 7
    assert all(len(set(patterns)) >= 8 for patterns in DEVICES.values())
    assert all(len(set(fillers)) >= 15 for fillers in SLOTS.values())


def test_every_pattern_agrees_in_number() -> None:
    plural, singular = read_sentence("I lost my keys."), read_sentence("I lost my kettle.")
    for pattern in [pattern for patterns in DEVICES.values() for pattern in patterns]:
        for wrong in ("the keys has", "the keys is ", "the keys was ", "the keys blames"):
            assert wrong not in fill(pattern, plural, "k")
        for wrong in ("the kettle have", "the kettle are ", "the kettle were ", "the kettle blame "):
            assert wrong not in fill(pattern, singular, "k")


def test_critic_and_judge_mostly_agree_on_clear_pairs(sentences: list[str]) -> None:
    agreed = clear = 0
    for index, sentence in enumerate(sentences[:150]):
        for one, two in combinations(demonstrate(sentence, 4, 0.35, (), f"pair {index}"), 2):
            gap = CRITIC.assess(sentence, one).score - CRITIC.assess(sentence, two).score
            if abs(gap) > 0.08:
                clear += 1
                agreed += (JUDGE.assess(sentence, one).score > JUDGE.assess(sentence, two).score) == (gap > 0)
    assert clear > 300
    assert 0.7 <= agreed / clear <= 0.97
