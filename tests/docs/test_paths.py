"""Every file that a document names is there."""

import re
from pathlib import Path

import pytest

from .blocks import PAGES, ROOT

NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|ya?ml|json|md|txt|html|mako|toml)|[\w-]+\.py)`")
LINKED = re.compile(r"\]\((?!\w+:)([^)#\s]+)[^)]*\)")
OF_A_RUN = ("openmic-data/", "checkpoints/")
"""Where a run's own files lie."""
NAMES = [re.compile(r"NAME"), re.compile(r"^(answers|my_\w+|mine)\.(py|yaml)$")]
"""Of files that a reader would write."""


def missing(page: Path, text: str) -> list[str]:
    """The paths that a page names in backticks, from the root of the repository, or links to, and that lead nowhere."""
    named = [name for name in NAMED.findall(text) if not name.startswith(OF_A_RUN)]
    lost = [name for name in named if not any(theirs.search(name) for theirs in NAMES) and not (ROOT / name).exists()]
    return lost + [link for link in LINKED.findall(text) if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_is_there(page: Path) -> None:
    assert missing(page, page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`core/nothing.py`", ["core/nothing.py"]),
        ("`nothing.py`", ["nothing.py"]),
        ("`core/config.py` and `agents/tasks/NAME.yaml`", []),
        ("[a page](docs/nothing.md#part)", ["docs/nothing.md"]),
        ("[a page](docs/how-to/tasks.md#functions) [another](https://example.org/a.md)", []),
    ],
)
def test_the_check_itself_sees_a_path_that_leads_nowhere(text: str, found: list[str]) -> None:
    assert missing(ROOT / "README.md", text) == found
