"""What documents, recipes and notebooks use of openmic is its public face."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import openmic

from .blocks import NOTEBOOKS, PAGES, PROGRAMS, Block, blocks_of

SHOWN = [path for path in (*PAGES, *PROGRAMS, *NOTEBOOKS) if blocks_of(path)]
PUBLIC = {"openmic", "openmic.testing", "openmic.types"}
"""The modules that anyone outside may import."""
OPEN = {*openmic.__all__, "testing", "types", "__version__"}
"""What may be taken from `openmic` itself."""


def wrong_names(block: Block) -> Iterator[str]:
    """What a block takes from openmic that is not public."""
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "openmic":
            if node.module not in PUBLIC:
                yield str(node.module)
            elif node.module == "openmic":
                yield from (alias.name for alias in node.names if alias.name not in OPEN)
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "openmic"]
            yield from (name for name in names if name not in PUBLIC)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "openmic":
            yield from {node.attr} - OPEN


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.name)
def test_only_public_names_are_shown(path: Path) -> None:
    assert [name for block in blocks_of(path) for name in wrong_names(block)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from openmic.store import Store", ["openmic.store"]),
        ("from openmic import nothing", ["nothing"]),
        ("import openmic.graph.report", ["openmic.graph.report"]),
        ("import openmic\nopenmic.nothing()", ["nothing"]),
        ("import openmic\nfrom openmic.testing import check_task\nopenmic.__version__", []),
    ],
)
def test_the_check_itself_sees_a_private_name(text: str, found: list[str]) -> None:
    assert list(wrong_names(Block(0, text))) == found
