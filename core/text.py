"""Small facts about texts, and making a model's text safe to print."""

import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def words(text: str) -> list[str]:
    """The words of a text in lower case, apostrophes kept inside words, punctuation dropped."""
    return [match.group().lower() for match in _WORD.finditer(text)]


def fold(text: str) -> str:
    """A text as its words in lower case: equal for texts that differ in case, spacing and punctuation alone."""
    return " ".join(words(text))


def ending(text: str, length: int = 3) -> str:
    """The last words of a text, in lower case: what a punch line is recognised by."""
    return " ".join(words(text)[-length:])


def printable(text: str) -> str:
    """The text without escape sequences, control and bidirectional-override characters (new lines and tabs stay).

    Whatever a model wrote goes through here before a terminal sees it.
    """
    return _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
