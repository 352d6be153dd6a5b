"""Texts on one line, cut in the middle where there is no room: a joke is at its end."""

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

from ...core.text import printable

LIST_WIDTH = 200
"""Columns of a list that is written to a file or a pipe."""

GAP = " … "


def one_line(text: str) -> str:
    """A text safe to print, on one line."""
    return " ".join(printable(text).split())


class BothEnds:
    """A text on one line that loses its middle where there is no room for it all."""

    def __init__(self, text: str) -> None:
        self._text = one_line(text)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(min(1, cell_len(self._text)), cell_len(self._text))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(cut_in_the_middle(self._text, options.max_width), no_wrap=True, overflow="ellipsis")


def cut_in_the_middle(text: str, width: int) -> str:
    """The text, or its beginning and its end with an ellipsis between them, in at most so many terminal columns."""
    # A column takes a character at least, bar those without any width, of which no text has many.
    text = text if len(text) <= 8 * width + 64 else text[: 4 * width + 32] + text[-4 * width - 32 :]
    if cell_len(text) <= width:
        return text
    room = width - cell_len(GAP)
    if room < 2:
        return set_cell_size(text, width)
    head = set_cell_size(text, room // 2).rstrip()
    tail = text
    while cell_len(tail) > room - room // 2:
        tail = tail[1:]
    return f"{head}{GAP}{tail.lstrip()}"
