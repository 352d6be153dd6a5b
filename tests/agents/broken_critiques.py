"""Critiques as careless models write them: what is said, and a reply that says it in some broken way."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

PARTS = ("works", "missing", "suggestion")
WORDS = (
    "bus", "kettle", "it's", "don't", "a", "the", "über", "naïve", "it", "says", "“no”", "and", "leaves", "3",
    "o'clock", "umbrella,", "however;", "then:", "(again)", "well-known", "waits", "😀", "50%", "cat's",
    "ends.", "Really?",
)  # fmt: skip


@dataclass(frozen=True)
class Broken:
    """A reply, and what a person reads in it as the suggestion; None where that cannot be told."""

    manner: str
    reply: str
    suggestion: str | None


Parts = dict[str, str]
Manner = Callable[[Parts], tuple[str, str | None]]


def _json(parts: Parts) -> str:
    return json.dumps(parts, ensure_ascii=False)


def _with(write: Callable[[Parts], str]) -> Manner:
    return lambda parts: (write(parts), parts["suggestion"])


def _unescaped(parts: Parts) -> str:
    said = {name: f'{text} "ha" {text}' for name, text in parts.items()}
    return _json(said).replace('\\"', '"')


MANNERS: dict[str, Manner] = {
    "fenced": _with(lambda parts: f"```json\n{_json(parts)}\n```"),
    "fence not closed": _with(lambda parts: f"```json\n{_json(parts)}"),
    "in prose": _with(lambda parts: f"Sure! Here is what I think:\n\n{_json(parts)}\n\nI hope this helps."),
    "braces in the prose": _with(lambda parts: f"Of {{draft}} I think: {_json(parts)} {{end}}"),
    "single quotes": _with(repr),
    "quotes within single quotes": _with(
        lambda parts: "{" + ", ".join(f"'{name}': '{text}'" for name, text in parts.items()) + "}"
    ),
    "no quotes at all": lambda parts: (
        "{" + "\n".join(f"{name}: {text}" for name, text in parts.items()) + "}",
        parts["suggestion"] if parts["suggestion"][0].isalpha() and not set(parts["suggestion"]) & set(",;:") else None,
    ),
    "curly quotes": _with(lambda parts: "{" + ", ".join(f"“{name}”: “{text}”" for name, text in parts.items()) + "}"),
    "unescaped quotes": lambda parts: (_unescaped(parts), f'{parts["suggestion"]} "ha" {parts["suggestion"]}'),
    "trailing comma": _with(lambda parts: _json(parts)[:-1] + ",}"),
    "no commas": _with(lambda parts: "{" + "\n".join(f'"{n}": {json.dumps(t)}' for n, t in parts.items()) + "}"),
    "no braces": _with(lambda parts: _json(parts)[1:-1]),
    "no closing brace": _with(lambda parts: _json(parts)[:-1]),
    "last quote missing": _with(lambda parts: _json(parts)[:-2]),
    "nested": _with(lambda parts: json.dumps({"critique": parts})),
    "a list": _with(lambda parts: json.dumps([parts])),
    "a list of parts": _with(lambda parts: json.dumps([{name: text} for name, text in parts.items()])),
    "wrong types": lambda parts: (
        json.dumps({"works": True, "missing": [1, None, {"a": "b"}], "suggestion": [parts["suggestion"], 7]}),
        f"{parts['suggestion']} 7",
    ),
    "a number": lambda parts: (json.dumps({**parts, "suggestion": 42}), "42"),
    "null": lambda parts: (json.dumps({**parts, "suggestion": None}), None),
    "other case": _with(lambda parts: _json({name.upper(): text for name, text in parts.items()})),
    "other names": _with(
        lambda parts: _json(
            {"What works": parts["works"], "what_is_missing": parts["missing"], "Suggestions": parts["suggestion"]}
        )
    ),
    "escaped twice": _with(lambda parts: json.dumps(_json(parts))),
    "unicode escapes": _with(lambda parts: json.dumps(parts, ensure_ascii=True)),
    "raw line breaks": _with(lambda parts: _json({n: f"\n\t{t}\n" for n, t in parts.items()}).replace("\\n", "\n")),
    "control characters": _with(lambda parts: _json(parts).replace(" ", " \x00\x1b ")),
    "written twice": _with(lambda parts: _json(parts) + "\n" + _json(parts)),
    "after a thought": _with(lambda parts: f'<think>{{"suggestion": "no"}}</think>{_json(parts)}'),
    "more keys": _with(lambda parts: _json({"score": "3/10", **parts, "notes": "{none}"})),
    "comments": _with(lambda parts: _json(parts).replace('{"works"', '{\n// what works\n"works"')),
    "lines with headings": _with(
        lambda parts: f"Works: {parts['works']}\nMissing: {parts['missing']}\nSuggestion: {parts['suggestion']}"
    ),
    "bold headings": _with(
        lambda parts: (
            f"1. **What works:** {parts['works']}\n2. **What's missing:** {parts['missing']}\n"
            f"3. **Suggestion**: {parts['suggestion']}"
        )
    ),
    "prose": _with(lambda parts: f"It works: {parts['works']} I would suggest: {parts['suggestion']}"),
    "empty": lambda parts: ("", None),
    "an open brace": lambda parts: ("{", None),
    "the schema": lambda parts: ('{"type": "object", "properties": {}}', None),
}


def truncated(parts: Parts, length: int) -> Broken:
    """The critique cut off after some characters; what was written of the suggestion can still be read."""
    whole = _json(parts)
    start = whole.index('"suggestion": "') + len('"suggestion": "')
    left = whole[:length]
    said = left[start:].removesuffix("}").removesuffix('"').strip()
    return Broken("cut off", left, said or None)


def broken_critique(number: int) -> Broken:
    """The critique of that number: all manners come in turn, and every third is one that was cut off somewhere."""
    chance = random.Random(number)
    parts = {name: " ".join(chance.choices(WORDS, k=chance.randint(3, 12))) for name in PARTS}
    if number % 3 == 0:
        return truncated(parts, chance.randint(0, len(_json(parts))))
    manner = list(MANNERS)[number // 3 * 2 % len(MANNERS) + number % 3 - 1]
    return Broken(manner, *MANNERS[manner](parts))


@st.composite
def broken_critiques(draw: st.DrawFn) -> Broken:
    """Any of the ways, about any words."""
    sentence = st.lists(st.sampled_from(WORDS), min_size=3, max_size=12).map(" ".join)
    parts = {name: draw(sentence) for name in PARTS}
    manner = draw(st.sampled_from([*MANNERS, "cut off"]))
    if manner == "cut off":
        return truncated(parts, draw(st.integers(0, len(_json(parts)))))
    return Broken(manner, *MANNERS[manner](parts))
