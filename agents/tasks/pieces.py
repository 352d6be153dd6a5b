"""Taking a reply apart: which of it is an output, and what stands around outputs.

Models that are asked for a list and nothing else write preambles, titles, code fences, JSON, explanations and closing
remarks. No reply is refused for that, and none of it becomes an output. Pure functions of texts: cleaning an output,
and whether it is an answer, is the task's.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import json_repair

from .phrases import CLOSING, PREAMBLE, TITLE, closes, is_preamble


class Piece(NamedTuple):
    """A part of a reply."""

    text: str
    """As it was written, without the mark of its item."""
    around: str | None = None
    """What it is, where it is no output but stands around them: a preamble, a title, a closing remark."""


_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w+-]*[ \t]*$", re.MULTILINE)
_QUOTED = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*(?:[-*_=]{3,}|\*\s\*\s\*)[ \t]*$", re.MULTILINE)
_NUMBER = re.compile(
    r"^(?P<indent>[ \t]*)(?:#{1,6}\s+)?(?:\*\*|__)?"
    r"(?:(?:(?P<word>[^\W\d_]{1,16})\s*)?(?:#|no\.?\s*|nr\.?\s*)?[(\uff08\[]?(?P<number>\d{1,2})"
    r"(?:[ \t]*\([^()\n]{1,40}\)(?=[:\uff1a]))?"
    r"(?:(?:\*\*|__)?[.)\]:\uff09、．\uff1a](?:\*\*|__)?(?!\d)|\s*[-\u2013\u2014]\s(?=\S)|\ufe0f?\u20e3"
    r"|(?:\*\*|__)?[ \t]*$)"
    r"|#(?P<hash>\d{1,2})[ \t](?=\S)"
    r"|(?P<circled>[\u2460-\u2473\u2776-\u277f])"
    r"|(?P<letter>[A-H])\)(?=\s)"
    r"|(?:(?P<kind>[^\W\d_]{1,16})\s+(?P<kinds>[A-H])[.):\uff1a]|(?P<weak>\(?(?:[a-h]|[A-H]|[ivIV]{1,4})[.)])(?=\s)"
    r"|(?P<ordinal>[^\W\d_]{1,12}|\d(?:st|nd|rd|th)|[(\uff08]?[一二三四五六七八九十][)\uff09]?"
    r"|第[一二三四五六七八九十]\w?)"
    r"(?:[:\uff1a、]|(?<=[)\uff09])))"
    r"(?:\*\*|__)?)[ \t\u3000]*(?P<rest>.*)$",
    re.MULTILINE,
)
"""A line that begins an item with its number: `1.`, `(1)`, `**1.**`, `### 1)`, `#1`, `Option 1:`, `1、`, `①`, `A)`,
`a.`, `ii.`, `Version A:`, `First:`, `一、`."""
_ORDINALS = [
    *({"first", "1st", "erstens"}, {"second", "2nd", "zweitens"}, {"third", "3rd", "drittens"}),
    *({"fourth", "4th", "viertens"}, {"fifth", "5th", "fünftens"}),
]
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii")
_EAST = "一二三四五六七八九十"
_COUNTED = re.compile(
    r"option|version|joke|retelling|attempt|rewrite|rewriting|variant|variation|take|text|way|example|sentence|idea"
    r"|answer|number|item|punchline|suggestion|alternative|variante|beispiel|fassung|vorschlag|opción|exemple"
    r"|proposition"
    r"|版本|方案|例|案",
    re.IGNORECASE,
)
_BULLET = re.compile(
    r"^(?P<indent>[ \t]*)(?:(?:[-*•·▪‣◦●\u2013\u2014]|\+)[ \t]+|[・‧→⇒➔➜➤►▶▸✅✔☑👉★☆■□◆◇※❖]\ufe0f?[ \t\u3000]*"
    r"|-(?=[^\W\d_]))"
    r"(?P<rest>\S.*)$",
    re.MULTILINE,
)
_HEADING = re.compile(r"#{1,6}\s+\S")
_BOLD = re.compile(r"\s*(\*\*|__)(?P<inner>(?:(?!\1).)+)\1\s*[:\uff1a.]?\s*", re.DOTALL)
_BOLD_TITLE = re.compile(
    r"\s*(?P<mark>\*\*|__|\*)(?P<title>[^*_\n]{1,60}?)"
    r"(?:[:\uff1a]\s*(?P=mark)|(?P=mark)\s*[:\uff1a]|(?P=mark)\s+[-\u2013\u2014]\s|(?<=\w)\*\*\s+(?=[A-Z]))\s*(?=\S)"
    r"|\s*\*\((?P<remark>[^()*\n]{1,40})\)\*\s*(?=\S)"
)
"""`**The Divorce:** My toast …`, `**Divorce** My toast …`, `*(Divorce)* My toast …`"""
_ORIGINAL = re.compile(
    r"\W*(?:original|source|input|原文)(?:\s+(?:sentence|text|notice))?[*_]*\s*[:\uff1a]", re.IGNORECASE
)
"""A line that shows the input again."""
_TAGGED = re.compile(
    r"<((?:[a-z]+_)?(?:retelling|sentence|output|version|rewrite|rewriting|notice|text|joke|item|answer|option"
    r"|paraphrase"
    r"|result|response)s?(?:_?\d+)?)>\s*(.*?)\s*</\1>[ \t]*(?=$|<)",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
"""What stands in tags as prompts have them, to the end of a line or to the next."""
_MARKUP = re.compile(r"</?(?:ol|ul|p)>|<br\s*/?>|</li>", re.IGNORECASE)
_UNSEEN = re.compile(r"^[\u200b\u2060\ufeff]+", re.MULTILINE)
_BESIDE = re.compile(
    r"original|source|input|原文|why|expla|reason|note|technique|type|style|title|\bid\b|comment|device"
    r"|\A\W*(?:#|no\.?)?\W*\Z",
    re.IGNORECASE,
)
"""What a key or a column is called whose text is no output."""
_JSON = re.compile(r"^[ \t]*[\[{]\s*[\[{\"']", re.MULTILINE)
_TEXT_KEYS = (
    *("text", "output", "joke", "retelling", "retold", "sentence", "rewrite", "rewriting", "rewritten", "version"),
    *("paraphrase", "funny", "funny_version", "humorous", "plain", "simplified", "answer", "content", "改写"),
)
_TELLING = re.compile(rf"[\"'](?:{'|'.join(_TEXT_KEYS)})[\"']\s*:", re.IGNORECASE)


def pieces(reply: str, count: int, *, lines: bool) -> list[Piece]:
    """The parts of a reply in their order.

    Args:
        reply: The reply, without what the model thought.
        count: How many outputs were asked for.
        lines: Whether an output is one line. Else it may hold lists, titles and paragraphs of its own.
    """
    around, text = _unfenced(_QUOTED.sub("", _spaced(reply)))
    if count == 1 and not lines:
        return [*around, *_whole(text)]
    listed = _from_json(text, count)
    if listed is not None and count > 1 and len(listed) == 1 and "\n" in listed[0]:
        text, listed = listed[0], None  # a list within a text
    if listed is not None:
        return [*around, *(Piece(item) for item in listed)]
    marked = _table(text) or _numbered(_on_lines(text) if count > 1 else text, lines)
    if marked is None and count > 1:
        marked = _bulleted(text, lines)
    return [*around, *(_unmarked(text, count, lines) if marked is None else marked)]


def _spaced(text: str) -> str:
    """The text with a line's end for what ends one elsewhere, and without tags around outputs."""
    text = text.replace("\u2028", "\n").replace("\u2029", "\n\n")
    if "<" in text:
        text = re.sub(r"<li>\s*", "\n- ", text, flags=re.IGNORECASE)
        for _ in range(2):  # each output, and all of them
            text = _TAGGED.sub("\\2\n", text)
        text = _MARKUP.sub("\n", text)
    return text if text.isascii() else _UNSEEN.sub("", text)


def _on_lines(text: str) -> str:
    """A list that stands on one line, item by item."""
    if not re.match(r"\s*1[.)]\s[^\n]+\s2[.)]\s[^\n]+\Z", text):
        return text
    return re.sub(r"(?<=[.!?\"”’)])\s+(?=\d[.)]\s)", "\n", text)


def _unfenced(text: str) -> tuple[list[Piece], str]:
    """What stands around the code fences of a text, and what within; without any, all is within."""
    if "```" not in text and "~~~" not in text:
        return [], text
    fences = list(_FENCE.finditer(text))
    inside, outside, place = list[str](), list[str](), 0
    for number, fence in enumerate(fences):
        (inside if number % 2 else outside).append(text[place : fence.start()])
        place = fence.end()
    (inside if len(fences) % 2 else outside).append(text[place:])
    if not re.search(r"\w", "".join(inside)):
        return [], "\n".join(outside)
    names = [PREAMBLE, *[CLOSING] * len(outside)]
    around = [Piece(part.strip(), name) for part, name in zip(outside, names, strict=False) if part.strip()]
    return around, "\n\n".join(inside)


# JSON


def _from_json(text: str, count: int) -> list[str] | None:
    """The texts of a JSON list, object or lines of objects; None where the reply is none of these."""
    start = _JSON.search(text)
    if start is None or (text[: start.start()].strip() and not is_preamble(text[: start.start()].strip())):
        return None
    found = list(_texts_of(_value(text[start.start() :].strip())))
    return found if found and (count > 1 or len(found) > 1 or _TELLING.search(text)) else None


def _value(text: str) -> Any:
    """What a text that begins as JSON says: as it stands, line by line, or mended."""
    for candidate in (text, text[: max(text.rfind("]"), text.rfind("}")) + 1]):
        with suppress(ValueError, RecursionError):
            return json.loads(candidate)
    with suppress(ValueError, RecursionError):
        return [json.loads(line.strip().rstrip(",")) for line in text.splitlines() if line.strip()[:1] in {"{", "["}]
    with suppress(Exception):  # whatever a library makes of rubbish, it is no reason to fail
        return json_repair.loads(text)
    return None


def _texts_of(value: Any) -> Iterator[str]:
    """The texts in a JSON value: of an object with several, the one under a telling key, else the longest."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item)
    elif isinstance(value, dict):
        nested = [item for item in value.values() if isinstance(item, list | dict)]
        texts = {str(key).casefold(): item for key, item in value.items() if isinstance(item, str)}
        texts = {key: item for key, item in texts.items() if not _BESIDE.search(key)} or texts
        if nested:
            for item in nested:
                yield from _texts_of(item)
        elif texts and all(re.search(r"\d", key) for key in texts):  # {"1": …, "2": …}
            yield from texts.values()
        elif texts:
            yield next((texts[key] for key in _TEXT_KEYS if key in texts), max(texts.values(), key=len))


def _table(text: str) -> list[Piece]:
    """The longest cell of each row, of the columns that hold outputs by their heads."""
    if "|" not in text:
        return []
    table = re.search(
        r"^(?:[ \t]*\|(?P<head>.*)\n[ \t]*\|[-:| \t]+\|[ \t]*\n)?(?P<rows>(?:[ \t]*\|.*\|[ \t]*(?:\n|\Z))+)",
        text,
        re.MULTILINE,
    )
    if table is None or (table["head"] is None and table["rows"].count("\n") < 2):
        return []
    heads = [head.strip() for head in (table["head"] or "").strip().strip("|").split("|")]
    found = list[Piece]()
    for row in table["rows"].splitlines():
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        fits = table["head"] and len(cells) == len(heads)
        outputs = [cell for cell, head in zip(cells, heads, strict=True) if not _BESIDE.search(head)] if fits else []
        found.append(Piece(max(outputs or cells, key=len)))
    return found


# Lists


class _Mark(NamedTuple):
    start: int
    body: int
    indent: int


def _numbered(text: str, lines: bool) -> list[Piece] | None:
    """Items that are counted from 1, or from A."""
    marks, expected, weak = list[_Mark](), 1, False
    for found in _NUMBER.finditer(text):
        word = found["word"] or found["kind"]
        if word and not _COUNTED.fullmatch(word):
            continue
        if not word and found.group().strip("#*_ \t").isdigit():  # a number and nothing else
            continue
        number, indent = _number_of(found, expected), _width(found["indent"])
        if not marks and number == 0:
            expected = 0
        # Some write 1 before each.
        again = number == 1 and expected == 2 and bool(found["number"]) and indent <= marks[0].indent
        if not again and number != expected and not (marks and number > expected):
            continue
        if marks and indent > marks[0].indent + 3:
            continue
        weak = weak or bool(found["weak"] or found["ordinal"] or found["hash"])
        marks.append(_Mark(found.start(), found.start("rest"), indent))
        expected = number + 1
    # "A. Smith" and "First: the toast" begin many a sentence.
    return None if weak and len(marks) < 2 else _items(text, marks, lines)


def _number_of(found: re.Match[str], expected: int) -> int:
    """The number that a mark stands for; -1 where it is none."""
    if digits := found["number"] or found["hash"]:
        return int(digits)
    if circled := found["circled"]:
        return int(unicodedata.numeric(circled))
    if letter := found["letter"] or found["kinds"]:
        return ord(letter) - ord("A") + 1
    said = (found["weak"] or found["ordinal"]).strip("().\uff08\uff09").lower()
    ways = {
        next((place for place, names in enumerate(_ORDINALS, start=1) if said in names), -1),
        _ROMAN.index(said) + 1 if found["weak"] and said in _ROMAN else -1,
        ord(said) - ord("a") + 1 if found["weak"] and len(said) == 1 else -1,
        _EAST.find(said.removeprefix("第")[:1]) + 1 if said[0] in f"{_EAST}第" else -1,
    }
    return expected if expected in ways else max(ways)


def _bulleted(text: str, lines: bool) -> list[Piece] | None:
    marks = [_Mark(one.start(), one.start("rest"), _width(one["indent"])) for one in _BULLET.finditer(text)]
    least = min((mark.indent for mark in marks), default=0)
    tight = [mark for mark in marks if text[mark.body - 1] == "-"]
    if len(tight) == 1:  # a dash that belongs to the text
        marks = [mark for mark in marks if mark not in tight]
    return _items(text, [mark for mark in marks if mark.indent <= least + 1], lines)


def _width(indent: str) -> int:
    return len(indent.expandtabs(4))


def _items(text: str, marks: Sequence[_Mark], lines: bool) -> list[Piece] | None:
    """The list's items, and what stands around it; None without marks."""
    if not marks:
        return None
    before = text[: marks[0].start].strip()
    found = [Piece(before, PREAMBLE)] if re.search(r"\w", before) else []
    ends = [mark.start for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=True):
        opened = re.search(r"(\*\*|__)\s*\d|(\*\*|__)[^\W\d_]+\s*\d", text[mark.start : mark.body])
        body = text[mark.body : end]
        if _HEADING.match(text[mark.start : end].lstrip()) and body.partition("\n")[0].strip():
            body = f"# {body}"
        elif opened and not re.search(r"(?:\*\*|__)\s*\Z", text[mark.start : mark.body]):
            # The mark has opened an emphasis that ends with the line: **1. A title**.
            body = f"**{body}"
        found += _item(_paragraphs(body), lines=lines, last=end == len(text))
    return found


def _item(paragraphs: Sequence[str], *, lines: bool, last: bool) -> list[Piece]:
    if not paragraphs:
        return []
    if not lines:
        closing = [said for said in paragraphs[1:] if last and closes(said)]
        body = "\n\n".join(said for said in paragraphs if said not in closing)
        return [Piece(body), *(Piece(said, CLOSING) for said in closing)]
    title, body, rest = _body(paragraphs)
    return [
        *([Piece(title, TITLE)] if title else []),
        Piece(body),
        *(Piece(said, CLOSING) for said in rest if last),
    ]


def _paragraphs(text: str) -> list[str]:
    """Paragraphs with a word in them; their lines are set flush left."""
    split = re.split(r"\n[ \t]*\n", _RULE.sub("", text))
    flush = ["\n".join(line.strip() for line in part.strip().splitlines()) for part in split]
    return [part for part in flush if re.search(r"\w|[^\x00-\x7f]", part)]


def _body(paragraphs: Sequence[str]) -> tuple[str, str, list[str]]:
    """Title, text and what follows of an item."""
    first, *rest = paragraphs
    head, _, tail = first.partition("\n")
    if _is_title(head) and (tail.strip() or rest):
        return (head, tail.strip(), rest) if tail.strip() else (head, rest[0], rest[1:])
    titled = _BOLD_TITLE.match(first)
    if titled:
        return titled["title"] or titled["remark"], first[titled.end() :], rest
    return "", first, rest


def _is_title(line: str) -> bool:
    """Whether a line heads what follows: bold, marked as a heading, or ending in a colon."""
    bold = _BOLD.fullmatch(line) or _HEADING.match(line.strip())
    return bool(bold) or line.rstrip("*_ ").endswith((":", "\uff1a"))


# No marks


def _whole(text: str) -> list[Piece]:
    """All of a reply as one output, without what is said before and after it."""
    paragraphs = [part.strip("\n") for part in re.split(r"\n[ \t]*\n", text) if part.strip()]
    if len(paragraphs) < 2 or not is_preamble(paragraphs[0]):
        return [Piece(text)]
    first, *rest = paragraphs
    closing = [rest.pop()] if len(rest) > 1 and closes(rest[-1]) else []
    return [Piece(first, PREAMBLE), Piece("\n\n".join(rest)), *(Piece(said, CLOSING) for said in closing)]


def _unmarked(text: str, count: int, lines: bool) -> list[Piece]:
    """Lines or paragraphs that are outputs each, and what stands around them."""
    parts = [part for block in _RULE.split(text) for part in _paragraphs(block)]
    found = list[Piece]()
    for place, part in enumerate(parts):
        following = "".join(parts[place + 1 : place + 2])
        alone = bool(following) and "\n" not in part and _is_title(part)
        alone = alone and not _is_title(following) and not closes(following)
        title, body, _ = (part, "", []) if alone else _body([part])
        if title:
            found.append(Piece(title, TITLE if found or _BOLD.fullmatch(title) else PREAMBLE))
        found += [Piece(line) for line in body.splitlines()] if lines else [Piece(body)] * bool(body)
    again = [place for place, piece in enumerate(found) if piece.around is None and _ORIGINAL.match(piece.text)]
    if len(again) < sum(piece.around is None for piece in found):
        found = [Piece(piece.text, PREAMBLE) if place in again else piece for place, piece in enumerate(found)]
    return _without_remarks(found, count)


def _without_remarks(found: list[Piece], count: int) -> list[Piece]:
    """The same with its beginning marked as a preamble and its end as a closing remark, where they are."""
    spoken = [place for place, piece in enumerate(found) if piece.around is None]
    while spoken and is_preamble(found[spoken[0]].text, alone=len(spoken) == 1):
        found[spoken[0]] = Piece(found[spoken[0]].text, PREAMBLE)
        spoken = spoken[1:]
    while len(spoken) > 1 and closes(found[spoken[-1]].text, surely=len(spoken) <= count):
        found[spoken[-1]] = Piece(found[spoken[-1]].text, CLOSING)
        spoken = spoken[:-1]
    return found
