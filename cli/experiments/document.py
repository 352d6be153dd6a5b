"""A document as blocks, and the two ways to write it: Markdown, and one self-contained HTML page.

What a report says is said once; nothing here knows what it is about.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...core.text import printable
from ...viewer.charts import Chart
from ...viewer.templating import environment


@dataclass(frozen=True, slots=True)
class Heading:
    """A section's title."""

    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words; a quiet one is a note."""

    text: str
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Columns of numbers are aligned to the right."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    """How many columns, from the first, hold words."""


@dataclass(frozen=True, slots=True)
class Code:
    """Text that stands as it is, folded away where that can be."""

    text: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A curve; what it shows stands in a table too."""

    chart: Chart


Block = Heading | Paragraph | Grid | Code | Drawing


@dataclass(frozen=True, slots=True)
class Document:
    """A report."""

    title: str
    label: str = ""
    """What stands beside every heading, such as that all figures are the simulated cast's."""
    blocks: list[Block] = field(default_factory=list)

    def headed(self, text: str) -> str:
        """A heading with the label."""
        return f"{text} ({self.label})" if self.label else text


def markdown(document: Document) -> str:
    """The document as Markdown. Drawings are left out, for their figures stand in tables."""
    parts = [f"# {_words(document.headed(document.title))}"]
    for block in document.blocks:
        if isinstance(block, Heading):
            parts.append(f"## {_words(document.headed(block.text))}")
        elif isinstance(block, Paragraph):
            parts.append(f"*{_words(block.text)}*" if block.quiet else _words(block.text))
        elif isinstance(block, Grid):
            parts.append(_table(block))
        elif isinstance(block, Code):
            fence = "`" * max(3, 1 + _longest_run(block.text))
            parts.append(f"{fence}\n{printable(block.text)}\n{fence}")
    return "\n\n".join(parts) + "\n"


def html(document: Document) -> str:
    """The document as one HTML page that needs nothing else, and prints well."""
    kinds = [(type(block).__name__.lower(), block) for block in document.blocks]
    return environment().get_template("report.html").render(document=document, blocks=kinds)


def _table(grid: Grid) -> str:
    ruler = ["---" if place < grid.words else "---:" for place in range(len(grid.headings))]
    rows = [grid.headings, ruler, *grid.rows]
    return "\n".join("| " + " | ".join(cell if row is ruler else _cell(cell) for cell in row) + " |" for row in rows)


def _cell(text: str) -> str:
    return _words(text).replace("|", "\\|")


def _words(text: str) -> str:
    """Text on one line whose characters mean nothing to Markdown."""
    line = " ".join(printable(text).split())
    for mark in "\\`*_<":
        line = line.replace(mark, f"\\{mark}")
    return line


def _longest_run(text: str) -> int:
    longest = run = 0
    for character in text:
        run = run + 1 if character == "`" else 0
        longest = max(longest, run)
    return longest
