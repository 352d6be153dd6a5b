from openmic.agents.overused import overused_endings


def jokes(**counts: int) -> list[str]:
    return [f"The bus left, {name.replace('_', ' ')}!" for name, count in counts.items() for _ in range(count)]


def test_endings_are_heard_too_often_from_a_number_and_a_share_on() -> None:
    texts = jokes(sends_its_regards=4, once_a_week=3, and_never_returned=2)
    assert overused_endings(texts) == ["sends its regards", "once a week"]
    assert overused_endings(texts, at_least=2) == ["sends its regards", "once a week", "and never returned"]
    assert overused_endings(texts, share=0.4) == ["sends its regards"]


def test_three_in_a_thousand_are_not_too_often() -> None:
    others = [f"This is joke number {number} of many" for number in range(1000)]
    rare = jokes(sends_its_regards=3)
    assert overused_endings([*rare, *(f"{text} {number}" for number, text in enumerate(others))]) == []


def test_case_and_punctuation_do_not_tell_endings_apart() -> None:
    texts = ["It sends its regards.", "And SENDS ITS, regards", "Who sends its “regards”?"]
    assert overused_endings(texts) == ["sends its regards"]


def test_the_most_frequent_come_first_and_equals_by_the_alphabet() -> None:
    texts = jokes(b_b_b=3, c_c_c=5, a_a_a=3)
    assert overused_endings(texts) == ["c c c", "a a a", "b b b"]
    assert overused_endings(reversed(texts), most=2) == ["c c c", "a a a"]


def test_silence_is_never_heard_too_often() -> None:
    assert overused_endings([]) == []
    assert overused_endings(["", "...", "?!"] * 5) == []
