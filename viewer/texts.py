"""What models and users wrote, shown so that it cannot fool the reader.

Control characters, characters that turn the direction of writing, and invisible ones are named where they stand, in
place of doing what they do. `shown` is for pages, `plain` for attributes and titles, where no markup can stand.
"""

import re
import unicodedata
from typing import Final

from markupsafe import Markup, escape

LONG: Final = 20_000
"""Characters of a text that a page shows; the whole of a longer one is a page of its own."""

_GAP: Final = " … "
_UNSEEN: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f]"
)
_NAMES: Final = {"\x00": "NUL", "\x07": "BEL", "\x08": "BS", "\x0d": "CR", "\x1b": "ESC", "\x7f": "DEL"}


def shown(text: str, limit: int = LONG) -> Markup:
    """The text, escaped, cut where it is longer than the limit, with what cannot be seen made visible."""
    pieces: list[Markup] = []
    end = 0
    text = _lines(text)
    head = text[:limit]
    for match in _UNSEEN.finditer(head):
        pieces += escape(head[end : match.start()]), _marked(match.group())
        end = match.end()
    pieces.append(escape(head[end:]))
    if len(text) > limit:
        pieces.append(Markup('<span class="cut"> … cut here</span>'))
    return Markup("").join(pieces)


def plain(text: str) -> str:
    """The text with what cannot be seen named in brackets; not escaped."""
    return _UNSEEN.sub(lambda match: f"[{_name(match.group())}]", _lines(text))


def brief(text: str, width: int = 220) -> str:
    """Shorten a text to one line by its middle where it is too long: a joke is at its end."""
    # A text of megabytes is not gone through for the sake of a line.
    far = 4 * width
    head, tail = (text, "") if len(text) <= 2 * far else (text[:far], text[-far:])
    line = _GAP.join(filter(None, (" ".join(plain(part).split()) for part in (head, tail))))
    if len(line) <= width:
        return line
    room = (width - len(_GAP)) // 2
    return _to_space(line[: room + 1]) + _GAP + _to_space(line[-room - 1 :][::-1])[::-1]


def _to_space(text: str) -> str:
    """The text up to its last space, if that is not too far back; always less than the whole."""
    space = text.rfind(" ")
    return text[:space] if space > len(text) // 2 else text[:-1]


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _marked(character: str) -> Markup:
    title = f"U+{ord(character):04X} {unicodedata.name(character, 'control character')}"
    return Markup('<span class="unseen" title="{}">{}</span>').format(title, _name(character))


def _name(character: str) -> str:
    return _NAMES.get(character) or f"U+{ord(character):04X}"
