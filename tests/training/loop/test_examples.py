from dataclasses import replace
from typing import Any

import pytest

from openmic.core.errors import TrainingError
from openmic.core.records import TrainingExample
from openmic.core.training_settings import FineTuneSettings
from openmic.training.loop.examples import EncodedExample, encode_examples, hold_out, with_mismatched
from openmic.training.objectives import MISMATCHED, OBJECTIVES, TARGET
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import encode_pair

from ..conftest import BuildStudent
from ..factories import TEXTS, demonstration, preference

JOKES = ("Late? Posthumous.", "A card from me to me.", "It rained umbrellas.", "Soup of the day.")


@pytest.fixture
def llama(student: BuildStudent) -> LoadedStudent:
    return student("llama")


def items_of(student: LoadedStudent, name: str, *examples: TrainingExample, **changes: Any) -> list[EncodedExample]:
    return encode_examples(student, examples, OBJECTIVES[name], FineTuneSettings(**changes))


def said(student: LoadedStudent, item: EncodedExample) -> list[tuple[int, str]]:
    return [(row.rank, student.tokenizer.decode(row.text.completion, skip_special_tokens=True)) for row in item.rows]


@pytest.mark.parametrize("name", ["sft", "sd"])
def test_a_likelihood_learns_the_best_text_alone(llama: LoadedStudent, name: str) -> None:
    one, other = items_of(llama, name, demonstration(0, "Ha."), preference(1, "Ha.", "Hm.", "No.", target="Ho."))
    assert said(llama, one) == said(llama, other) == [(0, "Ha.")]


@pytest.mark.parametrize("name", ["dpo", "simpo", "kto"])
def test_a_preference_is_two_rows(llama: LoadedStudent, name: str) -> None:
    [item] = items_of(llama, name, preference(0, "Ha.", "Hm.", target="Ho."))
    assert said(llama, item) == [(0, "Ha."), (1, "Hm.")]
    assert item.ranked_tokens == sum(len(row.text.completion) for row in item.rows)
    assert item.length == 2 * len(item.prompt) + item.ranked_tokens


def test_a_ranking_is_a_row_for_each_text_and_one_for_its_target(llama: LoadedStudent) -> None:
    [item] = items_of(llama, "brio", preference(0, "Ha.", "Hm.", "No.", target="Ho."))
    assert said(llama, item) == [(0, "Ha."), (1, "Hm."), (2, "No."), (TARGET, "Ho.")]
    assert [row.rank for row in item.ranked] == [0, 1, 2]


@pytest.mark.parametrize(("target", "weight"), [(None, 1.0), ("Ha.", 1.0), ("Ho.", 0.0)])
def test_a_target_that_teaches_nothing_more_is_no_row(llama: LoadedStudent, target: str | None, weight: float) -> None:
    [item] = items_of(llama, "brio", preference(0, "Ha.", "Hm.", target=target), nll_weight=weight)
    assert [row.rank for row in item.rows] == [0, 1]


@pytest.mark.parametrize(
    ("name", "texts", "wanted"),
    [
        ("sft", (), "'p3' has 0 completions, and this objective needs one;"),
        ("sd", (), "'p3' has 0 completions, and this objective needs one;"),
        ("dpo", ("Ha.",), "'p3' has 1 completions, and this objective needs exactly two: chosen and rejected;"),
        ("simpo", ("Ha.", "Hm.", "No."), "'p3' has 3 completions, and this objective needs exactly two"),
        ("kto", ("Ha.",), "'p3' has 1 completions"),
        ("brio", ("Ha.",), "'p3' has 1 completions, and this objective needs two or more, best first;"),
    ],
)
def test_an_example_that_the_objective_cannot_use_is_an_error(
    llama: LoadedStudent, name: str, texts: tuple[str, ...], wanted: str
) -> None:
    with pytest.raises(TrainingError, match=wanted):
        items_of(llama, name, preference(0, "Ha.", "Hm."), preference(3, *texts))


def test_an_example_is_left_out_when_any_of_its_texts_is_too_long(llama: LoadedStudent) -> None:
    long = "And so on, and so on. " * 8
    examples = [preference(i, *texts) for i, texts in enumerate([("Ha.", "Hm."), ("Ha.", long), (long, "Hm.")])]
    assert [said(llama, item) for item in items_of(llama, "dpo", *examples, max_length=100)] == [
        [(0, "Ha."), (1, "Hm.")]
    ]
    targeted = preference(0, "Ha.", "Hm.", target=long)
    with pytest.raises(TrainingError, match="nothing to train on: 1 examples, none within max_length=100"):
        items_of(llama, "brio", targeted, max_length=100)
    assert items_of(llama, "brio", targeted, max_length=100, nll_weight=0.0)


@pytest.mark.parametrize("name", ["gpt2", "bart"])
def test_what_is_beyond_the_students_own_places_is_left_out(student: BuildStudent, name: str) -> None:
    one = student(name)  # with places for 512 tokens
    examples = [demonstration(0, "Ha."), demonstration(1, "And so on, and so on. " * 80)]
    assert [item.id for item in items_of(one, "sft", *examples, max_length=4096)] == [examples[0].id]


def test_no_prompt_is_both_trained_on_and_held_out(llama: LoadedStudent) -> None:
    examples = [demonstration(i, joke * (1 + i % 3), f"Input {i // 4}.") for i, joke in enumerate(JOKES * 10)]
    items = items_of(llama, "sft", *examples)
    training, held = hold_out(items, 0.2, seed=1)
    assert len(held) == 8  # two of ten prompts, four texts each
    assert not {item.prompt for item in training} & {item.prompt for item in held}
    assert sorted(map(id, training + held)) == sorted(map(id, items))
    assert [items.index(item) for item in training] == sorted(items.index(item) for item in training)
    assert {item.prompt for item in hold_out(items, 0.2, seed=2)[1]} != {item.prompt for item in held}
    assert hold_out(items, 0.2, seed=1) == (training, held)


def test_something_is_held_out_where_two_prompts_are_and_nothing_where_one_is(llama: LoadedStudent) -> None:
    items = items_of(llama, "sft", *(demonstration(i, joke) for i, joke in enumerate(JOKES[:2])))
    training, held = hold_out(items, 0.01, seed=1)
    assert (len(training), len(held)) == (1, 1)
    assert hold_out(items[:1] * 3, 0.4, seed=1) == (items[:1] * 3, [])
    assert hold_out(items, 0.0, seed=1) == (items, [])


def test_a_mismatched_row_is_a_text_of_another_prompt(llama: LoadedStudent) -> None:
    examples = [preference(i, f"Good {i}.", f"Bad {i}.", prompt=TEXTS[i // 2]) for i in range(6)]
    items = with_mismatched(items_of(llama, "kto", *examples))
    assert [said(llama, item)[2] for item in items] == [
        (MISMATCHED, text) for text in ("Good 2.", "Bad 2.", "Good 4.", "Bad 4.", "Good 0.", "Bad 0.")
    ]
    for item, example in zip(items, examples, strict=True):
        assert item.rows[2].text.prompt == item.prompt == encode_pair(llama, example.messages, "").prompt
        assert item.has_mismatched
        assert [row.rank for row in item.ranked] == [0, 1]


def test_one_prompt_alone_has_nothing_mismatched(llama: LoadedStudent) -> None:
    items = items_of(llama, "kto", *(preference(i, f"Good {i}.", "Bad.", prompt="Soup.") for i in range(3)))
    assert with_mismatched(items) == items
    assert not any(item.has_mismatched for item in items)


def test_a_preference_may_count_by_the_critics_margin(llama: LoadedStudent) -> None:
    sure, unsure, nobody = (
        replace(preference(place, "Ha.", "Hm."), margin=margin) for place, margin in enumerate((0.9, 0.3, 0.0))
    )
    items = items_of(llama, "dpo", sure, unsure, nobody, margin_weights=True)
    assert [item.weight for item in items] == pytest.approx([1.5, 0.5, 1.0])
    assert [item.weight for item in items_of(llama, "dpo", sure, unsure)] == [None, None]
    assert [item.weight for item in items_of(llama, "dpo", nobody, margin_weights=True)] == [1.0]
