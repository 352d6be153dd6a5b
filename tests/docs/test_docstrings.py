"""The first sentence of a docstring can be read in one breath."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..test_house import ALL_FILES, PACKAGE, name_of

MOST_WORDS = 20
END_OF_SENTENCE = re.compile(r"""(?<=[.!?])["')\]]?\s+(?=[A-Z`"'(\[0-9])""")


def first_sentence(docstring: str) -> str:
    """The words of a docstring up to the end of its first sentence, or of its first paragraph."""
    paragraph = " ".join(docstring.strip().split("\n\n")[0].split())
    return END_OF_SENTENCE.split(paragraph, maxsplit=1)[0]


def long_sentences(text: str) -> Iterator[tuple[str, int, str]]:
    """Of each module, class and function whose docstring begins at length: its name, the number of words, the words."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            sentence = first_sentence(ast.get_docstring(node) or "")
            if (words := len(sentence.split())) > MOST_WORDS:
                yield getattr(node, "name", "the module"), words, sentence


@pytest.mark.parametrize("path", [*ALL_FILES, *sorted(PACKAGE.glob("*.py"))], ids=name_of)
def test_docstrings_begin_with_a_short_sentence(path: Path) -> None:
    assert list(long_sentences(path.read_text(encoding="utf-8"))) == [], f"say it in {MOST_WORDS} words"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("word " * 20 + "end.", 1),
        ("word " * 19 + "end.", 0),
        ("A word, e.g. this. " + "Word " * 30, 0),
        ("word " * 10 + "\n\n" + "word " * 15, 0),
        ("word " * 10 + "\n" + "word " * 15, 1),
    ],
)
def test_the_check_itself_counts_words(words: str, found: int) -> None:
    assert len(list(long_sentences(f'def told() -> None:\n    """{words}"""\n'))) == found
