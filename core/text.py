"""Small facts about texts of any language, and making a model's text safe to print."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import regex

_UNSPACED = "".join(
    rf"\p{{Script_Extensions={script}}}"
    for script in (
        *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Nushu", "Tangut", "Khitan_Small_Script"),
        *("Thai", "Lao", "Khmer", "Myanmar", "Tai_Tham", "New_Tai_Lue", "Tai_Le", "Tai_Viet"),
        *("Javanese", "Balinese", "Sundanese", "Cham", "Ahom"),
    )
)
"""Scripts without spaces between words. Hangul has spaces, and Tibetan has marks between its syllables."""
_LETTER = rf"[[{_UNSPACED}]&&[\p{{L}}\p{{Nl}}]]"
_OTHER = rf"[[\p{{L}}\p{{N}}]--{_LETTER}]"
_MARKS = r"\p{Mn}\p{Mc}"
_RUN = rf"(?:{_OTHER}[{_MARKS}\u200c\u200d]*)+"
# \u0e33 and \u0eb3 are letters by name, but part of the consonant before them.
WORD = rf"(?P<letter>{_LETTER}[{_MARKS}\u0e33\u0eb3]*)|{_RUN}(?:['’]{_RUN})*"
"""A word, or a letter of a script without spaces, as a pattern of `regex` (its version 1)."""
_WORD = regex.compile(WORD, regex.VERSION1)
# Latin letters, digits and marks of punctuation: most texts hold nothing else, and `re` is five times as fast.
_LATIN = re.compile(r"[\0-\xac\xae-\u02ff\u2010-\u2027\u2030-\u205e]*")
_LATIN_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}--[\p{L}\u200b-\u200d]]", regex.VERSION1)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_UNSEEN_IN_JSON = re.compile(_CONTROL.pattern.replace(r"\x0b-\x1f", r"\x0b\x0c\x0e-\x1f"))

_DENSE = regex.compile(rf"{_LETTER}|\p{{Hangul}}", regex.VERSION1)
"""A character that large models take for a token or more."""
CHARACTERS_PER_TOKEN = 4
"""Of most scripts."""
Tokens = tuple[tuple[str, bool], ...]
_SHORT = 2000
"""Characters of a text whose words are worth remembering."""
LETTERS_TO_A_WORD = 2
"""How many letters of a script without spaces make about a word; in Chinese one or two do, in Thai three or four."""


def words(text: str) -> list[str]:
    """The words of a text, in lower case and without punctuation.

    What has no spaces between its words, as Chinese, Japanese and Thai have none, is taken letter by letter, each with
    the marks over, under and beside it. Apostrophes stay inside words, and numbers are words.
    """
    return [token for token, _ in _tokens(text)]


def spoken(seconds: float) -> str:
    """A length of time in words, in the unit that fits it."""
    for unit, of_it, most in (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 172_800), ("days", 86_400, 86_400 * 730)):
        if seconds < most:
            whole = unit == "min" or seconds >= (1 if unit == "s" else 10 * of_it)
            return f"{seconds / of_it:,.0f} {unit}" if whole else f"{seconds / of_it:.2g} {unit}"
    return f"{seconds / (365 * 86_400):,.3g} years"


def length(text: str) -> int:
    """Length of a text: words, or letters where its script has no spaces; their sum in a mixed text."""
    return len(_tokens(text))


def rough_tokens(text: str) -> int:
    """About how many tokens a large model makes of it, where nobody counted them.

    A quarter of its characters; one for each of a script that is written without spaces or in syllables.
    """
    dense = len(_DENSE.findall(text))
    return dense + -(-(len(text) - dense) // CHARACTERS_PER_TOKEN)


def fold(text: str) -> str:
    """A text as its words in lower case: equal for texts that differ in case, spacing and punctuation alone."""
    return _joined(_tokens(text))


def ending(text: str, length: int = 3) -> str:
    """The last words of a text, in lower case: what a punch line is recognised by.

    Of a script without spaces twice as many letters are taken as words were asked for.
    """
    last, room = list[tuple[str, bool]](), LETTERS_TO_A_WORD * length
    for token in reversed(_tokens(text)):
        room -= 1 if token[1] else LETTERS_TO_A_WORD
        if room < 0:
            break
        last.append(token)
    return _joined(last[::-1])


def _tokens(text: str) -> Tokens:
    """The words of a text, each with whether it is a letter of a script without spaces."""
    return _tokens_again(text) if len(text) <= _SHORT else _read(text)


@lru_cache(maxsize=512)
def _tokens_again(text: str) -> Tokens:
    """The words of a short text: gates, selection and preferences all ask for those of the same few texts."""
    return _read(text)


def _read(text: str) -> Tokens:
    if text.isascii():
        return tuple([(word, False) for word in _LATIN_WORD.findall(text.lower())])
    if _LATIN.fullmatch(text):
        return tuple((match.group().lower(), False) for match in _LATIN_WORD.finditer(text))
    text = _UNSEEN.sub("", unicodedata.normalize("NFC", text))
    return tuple((match.group().lower(), match.group("letter") is not None) for match in _WORD.finditer(text))


def _joined(tokens: Sequence[tuple[str, bool]]) -> str:
    """Words with spaces between them, letters of scripts without spaces as they are written."""
    if not any(letter for _, letter in tokens):
        return " ".join([token for token, _ in tokens])
    said, before = "", True
    for token, letter in tokens:
        said += token if not said or (letter and before) else f" {token}"
        before = letter
    return said


def storable_text(text: str) -> str:
    """The text as every store takes it: no NULs, no halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", " ").encode(errors="replace").decode()


def printable_in(value: Any) -> Any:
    """A value as JSON has them, with every text in it as `printable` leaves it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable_in(key): printable_in(inner) for key, inner in value.items()}
    return [printable_in(inner) for inner in value] if isinstance(value, list | tuple) else value


def escaped(text: str) -> str:
    """JSON that does nothing to a terminal: control characters in it as JSON writes them."""
    return _UNSEEN_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable(text: str) -> str:
    """The text without escape sequences, control and bidirectional-override characters (new lines and tabs stay).

    Whatever a model wrote goes through here before a terminal sees it.
    """
    return _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def spaced(text: str) -> str:
    """The text with one space between words, its line breaks kept, and no two lines empty in a row."""
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
