from dataclasses import replace

import pytest

from openmic.evaluation.arms.texts import arm_texts

from .simulated import SETTINGS, outputs


def test_texts_are_measured_by_themselves_and_all_together() -> None:
    given = outputs("wwww")
    found = arm_texts(given, SETTINGS, 1, trained_on=[given[0].text, "Something else was learned too."])
    assert found is not None
    assert found.length_ratio.value == pytest.approx(11 / 6)
    assert found.reference_length_ratio.value == pytest.approx(11 / 6)
    assert found.copies.value == 0
    assert found.reused_endings.value == 1
    assert found.unique_endings.value == 0.25
    assert found.novelty is not None
    assert found.known is not None
    assert found.known.value == 0.25
    assert 0 < found.novelty.value < 0.75
    assert found.self_bleu is not None
    assert found.self_bleu.value > 0.5
    assert found.as_json()["copies"]["value"] == 0


def test_copies_of_the_input_are_counted_whatever_their_case() -> None:
    given = [
        replace(one, text=one.source.upper() if place else "Quite another thing.")
        for place, one in enumerate(outputs("ww"))
    ]
    found = arm_texts(given, SETTINGS, 1)
    assert found is not None
    assert (found.copies.value, found.copied.value, found.novelty) == (0.5, 0.5, None)


def test_variety_is_that_within_a_seed() -> None:
    same = [replace(one, text="We all said this.", seed=seed) for seed in (1, 2) for one in outputs("w")]
    found = arm_texts(same, SETTINGS, 1)
    assert found is not None
    assert found.distinct_2.value == 1
    assert found.distinct_2.by_seed == {1: 1, 2: 1}
    assert found.self_bleu is None


def test_scores_are_averaged_and_those_that_are_missing_counted() -> None:
    given = [replace(one, scores={"rubric": place} if place else {}) for place, one in enumerate(outputs("www"))]
    found = arm_texts(given, SETTINGS, 1)
    assert found is not None
    assert found.scores["rubric"].value == 1.5
    assert found.unscored == {"rubric": 1}


@pytest.mark.parametrize("text", ["", " ", "😀", "公交车走了，没有等我。", "السلام عليكم", "word " * 20_000, "ab"])
def test_any_text_can_be_measured(text: str) -> None:
    given = [replace(one, text=text) for one in outputs("wwl")]
    found = arm_texts(given, SETTINGS, 1, trained_on=[text])
    assert found is not None
    assert found.known is not None
    assert found.known.value == 1
    assert found.reused_endings.value == 1
    assert found.unique_endings.value == pytest.approx(1 / 3)
    assert found.self_bleu is not None
    assert 0 <= found.self_bleu.value <= 1
    assert arm_texts([], SETTINGS, 1) is None


def test_emoji_that_differ_are_no_copies() -> None:
    given = [replace(one, text=text, source="😂") for one, text in zip(outputs("ww"), ("😀", "😂"), strict=True)]
    found = arm_texts(given, SETTINGS, 1)
    assert found is not None
    assert (found.copies.value, found.copied.value, found.reused_endings.value) == (0.5, 0, 0)
