from openmic.core.text import words
from openmic.simulator.repetition import repetition


def test_repetition_is_what_the_source_does_not_say_twice_itself() -> None:
    again = words("the ladder is ours, the ladder is ours, the ladder is ours")
    assert repetition(again, words("the ladder is ours")) > 0.5
    assert repetition(again, again) == 0
    assert repetition(words("no no no no"), words("no")) == 1
