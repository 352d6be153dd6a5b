from pathlib import Path

from openmic.simulator.word_lists import as_lists, as_wordings, read_words


def test_everything_in_a_word_list_is_text_and_keeps_its_order(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text('as at: on\nno: 12\nabove mentioned: ""\nyes: [null, 0x1]\n')
    assert as_wordings(read_words(path)) == {
        "as at": ("on",),
        "no": ("12",),
        "above mentioned": ("",),
        "yes": ("null", "0x1"),
    }


def test_a_text_is_a_list_of_its_words(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("plain: >-\n  one two\n  three\nphrases: [one two, three]\n")
    assert as_lists(read_words(path)) == {"plain": ("one", "two", "three"), "phrases": ("one two", "three")}
