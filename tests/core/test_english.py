from openmic.core.english import content_stems, stem


def test_stems_make_equal_what_differs_in_its_ending_alone() -> None:
    assert stem("coins") == stem("coin")
    assert stem("rejected") == stem("rejects") == stem("rejecting")
    assert stem("stopped") == stem("stop")
    assert stem("coin") != stem("cone")


def test_content_words_leave_function_words_out_unless_there_is_nothing_else() -> None:
    assert content_stems("The bus has left the town") == [stem("bus"), "left", "town"]
    assert content_stems("It is") == ["it", "is"]
