"""Reading a prompt: the simulator knows openmic's prompts by their tags alone.

The tags are looked for in all user messages together, and where one occurs more than once the last one counts. What
they hold is unescaped (&lt; &gt; &amp;) and is data. Everything else a prompt says is ignored, but for how many texts
it asks for, whether it wants a reason before the label, and whether a critique is to be a hint.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..core.text import words
from .skill import Skill
from .skills import SKILLS

Kind = Literal["demonstrate", "compare", "critique", "score"]

_EXACTLY = re.compile(r"\bexactly\s+(\d{1,3})\b", re.IGNORECASE)
_HINT = re.compile(r"\bas a hint\b")
_REASON_FIRST = re.compile(r"\bAnswer: ?1\b")
_TEXT_TAGS = ("first", "second", "draft", "text", "heard")
_TAGGED = re.compile(rf"<({'|'.join([*(skill.tag for skill in SKILLS), *_TEXT_TAGS])})>.*?</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request is about; None for what its prompt does not hold."""

    skill: Skill | None
    """The skill whose tag holds the source."""
    source: str | None
    """The task's input."""
    first: str | None
    second: str | None
    draft: str | None
    heard: tuple[str, ...]
    """Endings of punch lines that were heard too often lately."""
    count: int
    """How many texts are asked for, at least 1."""
    reason_first: bool
    """Whether a comparison is to be answered with a reason and then `Answer: 1` or `Answer: 2`."""
    hint: bool = False
    """Whether a critique is to say what is missing, and not how the text could go."""

    @property
    def kind(self) -> Kind | None:
        """What is asked for; None where the tags leave it open."""
        if self.source is None:
            return None
        if self.first is not None and self.second is not None:
            return "compare"
        return "critique" if self.draft is not None else "demonstrate"


def read_prompt(user_messages: Sequence[str]) -> Prompt:
    """The prompt that these messages, in their order, amount to."""
    text = "\n".join(user_messages)
    skill, source = read_source(text)
    # What the tags hold asks for nothing, whatever it says.
    asked = _TAGGED.sub("", user_messages[-1]) if user_messages else ""
    number = _EXACTLY.search(asked)
    return Prompt(
        skill=skill,
        source=source,
        first=read_tag(text, "first"),
        second=read_tag(text, "second"),
        draft=read_tag(text, "draft"),
        heard=read_heard(text),
        count=max(1, int(number.group(1))) if number else 1,
        reason_first=_REASON_FIRST.search(asked) is not None,
        hint=_HINT.search(asked) is not None,
    )


def read_source(text: str) -> tuple[Skill | None, str | None]:
    """The skill whose tag a prompt has, and what the tag holds; None twice where it has none."""
    for skill in SKILLS:
        source = read_tag(text, skill.tag)
        if source is not None:
            return skill, source
    return None, None


def read_heard(text: str) -> tuple[str, ...]:
    """The endings that a prompt says were heard too often lately."""
    return tuple(line.strip() for line in (read_tag(text, "heard") or "").splitlines() if words(line))


def read_tag(text: str, name: str) -> str | None:
    """What the last tag of this name holds, unescaped; None where there is none."""
    span = tag_span(text, name)
    if span is None:
        return None
    content = text[span[0] : span[1]]
    return content.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def tag_span(text: str, name: str) -> tuple[int, int] | None:
    """Where what the last tag of this name holds begins and ends in the prompt as it stands."""
    spans = [match.span(1) for match in re.finditer(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)]
    return spans[-1] if spans else None
