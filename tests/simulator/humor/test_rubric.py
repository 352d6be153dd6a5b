from collections.abc import Sequence

import pytest

from openmic.simulator.humor.profiles import RUBRICS
from openmic.simulator.humor.rubric import PARTS
from openmic.simulator.skill import Assessment

CRITIC, JUDGE = RUBRICS["sim-critic"], RUBRICS["sim-judge"]
SENTENCE = "The neighbour borrowed our ladder and never brought it back."
GOOD = "The neighbour borrowed our ladder and never brought it back, and the ladder has asked for a lawyer."


def critic(text: str, heard: Sequence[str] = ()) -> Assessment:
    return CRITIC.assess(SENTENCE, text, heard)


def test_a_good_paraphrase_meets_both_standards() -> None:
    assert critic(GOOD).meets
    assert JUDGE.assess(SENTENCE, GOOD).meets
    assert tuple(critic(GOOD).parts) == PARTS


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (SENTENCE.replace(".", ", which was a thing that happened."), "device"),
        (SENTENCE.replace(".", ", and the ladder is in the garden."), "device"),
        ("Something happened, and the toaster has filed for divorce.", "meaning"),
        (GOOD + " And so it went on" + " and on from there to somewhere" * 6, "brevity"),
        (SENTENCE, "original"),
        (SENTENCE.upper().replace(".", "!"), "original"),
        (SENTENCE.replace(".", ", said no one ever."), "fresh"),
        (SENTENCE.replace(".", ", and the ladder, and the ladder, and the ladder, and the ladder."), "fresh"),
    ],
)
def test_each_flaw_fails_its_part_and_costs_score(text: str, part: str) -> None:
    found = critic(text)
    assert found.parts[part] < CRITIC.thresholds[part]
    assert not found.meets
    assert found.score < critic(GOOD).score - 0.08


@pytest.mark.parametrize(
    "text", ["", "  ", "!!!", "asdf qwer zxcv", "I'm sorry, but I can't help with that.", SENTENCE * 4]
)
def test_gibberish_refusals_and_loops_score_near_nothing(text: str) -> None:
    assert critic(text).score < 0.06
    assert JUDGE.assess(SENTENCE, text).score < 0.2


@pytest.mark.parametrize(
    "tail",
    [
        ", and the ladder has asked for a sandwich.",
        ", like a walrus at a bus stop.",
        ", as if the ladder were his own cousin.",
        ", so now the ladder wants a divorce.",
        ", and it was enough to make the ladder blush.",
        ", according to the ladder.",
    ],
)
def test_devices_with_other_fillers_count(tail: str) -> None:
    found = critic(SENTENCE.replace(".", tail))
    assert found.parts["device"] >= CRITIC.thresholds["device"], found


def test_the_device_is_graded() -> None:
    tails = [".", ", and he is happy.", ", like a dog.", ", like a nervous dog, and the ladder has asked for a lawyer."]
    grades = [critic(SENTENCE.replace(".", tail)).parts["device"] for tail in tails]
    assert grades == sorted(grades)
    assert len(set(grades)) >= 3


def test_a_marker_that_the_sentence_has_itself_does_not_count() -> None:
    sentence = "The cake was shaped like a kidney."
    assert CRITIC.assess(sentence, "The cake was shaped like a kidney and very big.").parts["device"] == 0


def test_heard_endings_are_not_fresh() -> None:
    assert critic(GOOD, ["asked FOR a lawyer!"]).parts["fresh"] == 0.2
    assert critic(GOOD, ["for a lawyer"]).meets is False
    assert critic(GOOD, ["for a baker", ""]).meets


def test_meaning_is_the_share_of_content_words_kept() -> None:
    assert critic("The neighbours borrow our ladders and never brought it back").parts["meaning"] == 1
    assert critic("The neighbour borrowed our ladder.").parts["meaning"] == 0.75


def test_brevity_lets_short_sentences_grow_by_some_words() -> None:
    short, text = "It rained.", "It rained " + "word " * 12
    assert CRITIC.assess(short, text).parts["brevity"] == 1
    assert CRITIC.assess(short, text + "word " * 12).parts["brevity"] == 0


def test_the_judge_knows_devices_that_the_critic_does_not() -> None:
    text = "Apparently the neighbour borrowed our ladder and never brought it back, nobody asked the ladder."
    assert JUDGE.assess(SENTENCE, text).parts["device"] >= JUDGE.thresholds["device"]
    assert critic(text).parts["device"] < CRITIC.thresholds["device"]


def test_the_judge_is_tired_of_what_the_critic_likes() -> None:
    text = SENTENCE.replace(".", ", and the ladder has hired a publicist.")
    assert critic(text).meets
    assert JUDGE.assess(SENTENCE, text).parts["fresh"] < JUDGE.thresholds["fresh"]


def test_the_judges_moods_are_fixed_by_the_texts_and_small() -> None:
    texts = [GOOD.replace("lawyer", f"lawyer {number}") for number in range(300)]
    scores = [JUDGE.assess(SENTENCE, text).score for text in texts]
    assert scores == [JUDGE.assess(SENTENCE, text).score for text in texts]
    assert len(set(scores)) > 100
    assert min(scores) > 0.7


def test_weights_add_up() -> None:
    for rubric in RUBRICS.values():
        assert sum(rubric.weights.values()) == pytest.approx(1)
        assert set(rubric.weights) == set(rubric.thresholds) == set(PARTS)
