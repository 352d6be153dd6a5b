from typing import Any

from openmic.simulator.teaching import write_texts


def test_texts_suit_and_differ_and_the_first_do_not_depend_on_the_rest() -> None:
    def write(good: bool, parts: Any) -> str:
        return f"{'good' if good else 'bad'} {parts[2] % 7}"

    texts = write_texts(6, 0.5, "k", write, lambda good, text: text.startswith("good") == good)
    assert len(set(texts)) == 6
    assert sum(text.startswith("good") for text in texts) == 3
    assert write_texts(2, 0.5, "k", write, lambda good, text: True) == texts[:2]


def test_where_nothing_new_can_be_said_what_suits_is_said_again() -> None:
    def write(good: bool, parts: Any) -> str:
        return "the one good text" if parts[2] % 2 else "useless"

    assert write_texts(3, 1.0, "k", write, lambda good, text: text != "useless") == ["the one good text"] * 3


def test_where_nothing_suits_something_is_written() -> None:
    assert write_texts(2, 1.0, "k", lambda good, parts: "no good", lambda good, text: False) == ["no good"] * 2
