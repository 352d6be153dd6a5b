"""Whose words are in which colour, and how a change is shown with and without colours."""

from rich.console import Console
from rich.text import Text

from ...core.records import Agent
from ...core.text import printable
from ...core.word_diff import word_diff

_COLOURS = {Agent.STUDENT: "cyan", Agent.TEACHER: "green", Agent.CRITIC: "magenta", Agent.JUDGE: "yellow"}
_STYLES = {"same": "", "removed": "red strike", "added": "bold green"}
_MARKS = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}


def colour_of(agent: Agent | str) -> str:
    """The colour of an agent's name."""
    return _COLOURS[Agent(agent)]


def colourless(console: Console) -> bool:
    """Whether colours would say nothing: it is no terminal, or NO_COLOR is set."""
    return console.no_color or console.color_system is None


def changes(console: Console, before: str, after: str) -> Text:
    """How a text was changed, word by word; without colours as [-removed-]{+added+}."""
    text = Text()
    for piece in word_diff(printable(before), printable(after)):
        left, right = _MARKS[piece.kind] if colourless(console) else ("", "")
        text.append(f"{left}{piece.text}{right}", style=_STYLES[piece.kind])
    return text
