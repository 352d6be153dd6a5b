"""The Python that a document shows: the ```python blocks of a page, the cells of a notebook, or a program."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
PROGRAMS = sorted([*(ROOT / "recipes").glob("*.py"), *(ROOT / "examples").glob("*.py")])
FENCE = re.compile(r"^( *)```(\w*).*$")


@dataclass(frozen=True)
class Block:
    """A piece of Python, and the line of its document before its first."""

    line: int
    text: str


def blocks_of(path: Path) -> list[Block]:
    """What a document shows, in its order."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return [Block(0, text)]
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        return [Block(0, "".join(cell["source"])) for cell in cells]
    return _fenced(text)


def _fenced(text: str) -> list[Block]:
    found: list[Block] = []
    language, begun, indent = None, 0, 0
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if language is None:
            language, begun, indent = fence.group(2), number, len(fence.group(1))
            continue
        if language == "python":
            found.append(Block(begun, "\n".join(inner[indent:] for inner in lines[begun : number - 1]) + "\n"))
        language = None
    assert language is None, f"the block that begins in line {begun} has no end"
    return found
