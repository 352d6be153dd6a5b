"""Reading a prompt: the simulator knows openmic's prompts by their tags alone.

The tags are looked for in all user messages together, and where one occurs more than once the last one counts. What
they hold is unescaped (&lt; &gt; &amp;). Everything else a prompt says is ignored, but for how many texts it asks for.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...core.text import words

Kind = Literal["demonstrate", "compare", "critique"]

_EXACTLY = re.compile(r"\bexactly\s+(\d{1,3})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request is about; None for what its prompt does not hold."""

    sentence: str | None
    first: str | None
    second: str | None
    draft: str | None
    heard: tuple[str, ...]
    """Endings of punch lines that were heard too often lately."""
    count: int
    """How many texts are asked for, at least 1."""

    @property
    def kind(self) -> Kind | None:
        """What is asked for; None where the tags leave it open."""
        if self.sentence is None:
            return None
        if self.first is not None and self.second is not None:
            return "compare"
        return "critique" if self.draft is not None else "demonstrate"


def read_prompt(user_messages: Sequence[str]) -> Prompt:
    """The prompt that these messages, in their order, amount to."""
    text = "\n".join(user_messages)
    number = _EXACTLY.search(user_messages[-1]) if user_messages else None
    heard = _tag(text, "heard") or ""
    return Prompt(
        sentence=_tag(text, "sentence"),
        first=_tag(text, "first"),
        second=_tag(text, "second"),
        draft=_tag(text, "draft"),
        heard=tuple(line.strip() for line in heard.splitlines() if words(line)),
        count=max(1, int(number.group(1))) if number else 1,
    )


def _tag(text: str, name: str) -> str | None:
    found = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    if not found:
        return None
    content: str = found[-1]
    return content.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()
