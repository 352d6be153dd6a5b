import pytest
from rich.cells import cell_len

from openmic.cli.transcripts.lines import cut_in_the_middle
from openmic.core.records import Split
from openmic.store import RunExample, Store

from ..store.judged import judged_run
from ..store.rows import example, run
from .conftest import Openmic

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


@pytest.fixture
def judged(openmic: Openmic) -> Openmic:
    """The command beside a store with an evaluated run, and a training on its transcripts."""
    with Store.open("openmic-data/openmic.db") as store:
        store.add(example(id="in0", text="input 0"))
        judged_run(store, "ONE", "dpo", "w")
        store.add(RunExample(run_id="ONE", example_id="in0", split=Split.TEST, position=0))
        store.add(run(id="TWO", kind="train", source_run_id="ONE"))
    return openmic


def test_an_evaluation_is_listed_by_the_version_it_is_of_and_by_its_split(
    judged: Openmic, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged("transcripts", "list", "ONE", "--stage", "evaluate").out.splitlines()[1].split()[:5] == [
        *("ONE-0", "v0", "4", "test", "win"),
    ]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    assert "ONE-0  v0 test  4 turns  win" in judged("transcripts", "list", "ONE", "--stage", "evaluate").out


def test_a_run_without_dialogues_names_the_run_that_has_them(judged: Openmic) -> None:
    outcome = judged("transcripts", "list", "TWO")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "run TWO has no dialogues; it works with those of run ONE: openmic transcripts list ONE\n"
