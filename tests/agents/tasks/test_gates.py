import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.agents.tasks.gates import first_problem, repetition
from openmic.agents.tasks.task_file import Validity

from ...properties import steady

SOURCE = "The bus left without me."
RULES = Validity(min_words=3, max_words=30, max_length_ratio=4.0)
PROBLEMS: list[tuple[str, str | None]] = [
    ("", "empty"),
    ("?!", "empty"),
    ("Too short.", "too short"),
    (" ".join(f"word{i}" for i in range(31)), "too long"),
    (" ".join(f"word{i}" for i in range(21)), "over-long"),
    (" ".join(f"word{i}" for i in range(20)), None),
    ("the bus, the bus, the bus, the bus, the bus", "repetition"),
    ("The bus left. The bus left! The bus.", None),
    ("the bus LEFT, without me!", "copy of the input"),
    ("The bus left without me, proudly.", None),
]


@pytest.mark.parametrize(("text", "problem"), PROBLEMS)
def test_what_is_wrong_with_an_output(text: str, problem: str | None) -> None:
    assert first_problem(text, SOURCE, RULES) == problem


def test_of_several_fields_none_may_be_copied_and_the_length_is_that_of_all() -> None:
    source = {"question": "Why did the bus leave?", "context": "It was tired of waiting for me."}
    for copy in (
        *source.values(),
        " ".join(source.values()),
        "question: why did the bus leave context: it was tired of waiting for me",
    ):
        assert first_problem(copy, source, RULES) == "copy of the input"
    long = " ".join(f"word{i}" for i in range(24))
    assert first_problem(long, source, Validity(max_length_ratio=2.0)) is None
    assert first_problem(f"{long} more", source, Validity(max_length_ratio=2.0)) == "over-long"


def test_a_text_that_was_cut_off_is_no_answer_unless_the_task_lets_it_be() -> None:
    text = "The bus left without me, and the bus"
    assert first_problem(text, SOURCE, RULES) is None
    assert first_problem(text, SOURCE, RULES, cut_off=True) == "cut off"
    assert first_problem(text, SOURCE, RULES.model_copy(update={"complete": False}), cut_off=True) is None


def test_without_a_ratio_an_output_may_be_as_long_as_the_longest() -> None:
    assert first_problem(" ".join(f"word{i}" for i in range(30)), "Rain.", Validity(max_words=30)) is None


OTHER_LANGUAGES: list[tuple[str, str, str | None]] = [
    ("公交车走了，没有等我。", "公交车趁我系鞋带的时候，偷偷地离家出走了。", None),
    ("公交车走了，没有等我。", "走！", "too short"),
    ("公交车走了。", "公交车趁我系鞋带的时候，一声不响，偷偷地离家出走了。", "over-long"),
    ("公交车走了，没有等我。", "".join(chr(0x4E00 + i) for i in range(31)), "too long"),
    ("公交车走了，没有等我。", "公交车走了，公交车走了，公交车走了。", "repetition"),
    ("公交车走了，没有等我。", "公交车 走了 没有等我！", "copy of the input"),
    ("バスは行ってしまった。", "バスは私に一言もなく家出した。", None),
    ("รถเมล์ไปแล้ว", "รถเมล์หนีไปเที่ยวทะเล", None),
    ("Der Bus ist weg.", "Der Bus hat heute Nacht gekündigt.", None),
    ("Der Bus ist weg.", "Weg!", "too short"),
    ("The bus left.", "😂😂😂", "empty"),
]


@pytest.mark.parametrize(("source", "text", "problem"), OTHER_LANGUAGES)
def test_the_gates_count_what_a_script_counts_in(source: str, text: str, problem: str | None) -> None:
    assert first_problem(text, source, RULES) == problem


REPETITIONS = [
    ("公交车走公交车走", 2 / 6),
    ("a b c d e f g h", 0.0),
    ("ha ha ha ha ha ha ha", 0.0),  # seven words
    ("ha ha ha ha ha ha ha ha", 5 / 6),
    ("on and on and on and on and", 4 / 6),
    ("One two three four. One, two, THREE four!", 2 / 6),
]


@pytest.mark.parametrize(("text", "share"), REPETITIONS)
def test_repetition_is_the_share_of_3_grams_that_were_there_before(text: str, share: float) -> None:
    assert repetition(text) == pytest.approx(share)


@steady
@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=40), st.floats(0, 1))
def test_saying_it_all_again_never_makes_a_text_less_repetitive(words: list[str], most: float) -> None:
    once, twice = repetition(" ".join(words)), repetition(" ".join(words * 2))
    assert 0 <= once <= twice < 1
    assert first_problem(" ".join(words * 2), SOURCE, Validity(max_repetition=1.0)) != "repetition"
    if once > most:
        assert first_problem(" ".join(words), SOURCE, Validity(max_repetition=most)) == "repetition"


def test_how_much_may_be_repeated_is_the_tasks_to_say() -> None:
    refrain = "row row row your boat gently down the stream row row row your boat"
    assert first_problem(refrain, SOURCE, Validity()) is None
    assert first_problem(refrain, SOURCE, Validity(max_repetition=0.1)) == "repetition"
