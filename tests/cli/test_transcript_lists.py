import pytest
from rich.cells import cell_len

from openmic.cli.transcripts.lines import cut_in_the_middle

TEXT = "The dentist told me to floss, so I nodded and changed the subject."


def test_a_text_that_fits_is_left_alone() -> None:
    assert cut_in_the_middle(TEXT, len(TEXT)) == TEXT


@pytest.mark.parametrize("width", [10, 11, 20, 33, len(TEXT) - 1])
def test_a_text_that_does_not_keeps_its_beginning_and_its_end(width: int) -> None:
    cut = cut_in_the_middle(TEXT, width)
    head, _, tail = cut.partition(" … ")
    assert len(cut) <= width
    assert len(cut) >= width - 2  # spaces at the cut are left out
    assert head
    assert tail
    assert TEXT.startswith(head)
    assert TEXT.endswith(tail)


@pytest.mark.parametrize("width", range(30))
def test_wide_characters_count_as_the_columns_they_take(width: int) -> None:
    assert cell_len(cut_in_the_middle("漢字" * 20, width)) <= width


@pytest.mark.parametrize("width", range(5))
def test_where_there_is_hardly_room_the_beginning_is_shown(width: int) -> None:
    assert cut_in_the_middle(TEXT, width) == TEXT[:width]
