"""Every Python block of the documents runs, each page's in order, and so does every recipe and notebook.

Pages and recipes run in this process, one after the other in one Ray session, each as a main module of its own.
"""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any

import pytest

from ..whole_run import PATIENCE_S
from .blocks import NOTEBOOKS, PAGES, PROGRAMS, ROOT, blocks_of
from .conftest import Workplace
from .execute import execute
from .graded import write_graded

NOTEBOOK = "import sys, nbclient, nbformat; nbclient.execute(nbformat.read(sys.argv[1], as_version=4), timeout=300)"
FEWER = {
    r"\"inputs.limit\": 160, \"dialogue.inputs\": 24, \"evaluation.test_inputs\": 24": (
        r"\"inputs.limit\": 48, \"dialogue.inputs\": 6, \"evaluation.test_inputs\": 6"
    )
}
"""Sizes that a notebook shows, and those it has here."""
ARGUMENTS = {"humicroedit.py": ("graded", "--quick")}
"""Of the recipes that need some."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def run(workplace: Workplace, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=workplace.folder,
        env=workplace.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def run_here(workplace: Workplace, path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str] = ()) -> None:
    """Carry out a page or a program as in a process that was started in the workplace."""
    from huggingface_hub import constants

    for name in os.environ.keys() - workplace.environment.keys():
        monkeypatch.delenv(name)
    for name, value in workplace.environment.items():
        monkeypatch.setenv(name, value)
    # Read from the environment when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_CACHE", workplace.environment["HF_HUB_CACHE"])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    with chdir(workplace.folder), warnings.catch_warnings():
        warnings.simplefilter("default")
        execute(path)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=name_of)
@pytest.mark.usefixtures("ray_running")
def test_what_a_page_shows_runs(page: Path, workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    run_here(workplace, page, monkeypatch)


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
@pytest.mark.usefixtures("ray_running")
def test_a_recipe_runs(program: Path, workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    write_graded(workplace.folder / "graded")
    run_here(workplace, program, monkeypatch, ARGUMENTS.get(program.name, ()))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name_of)
def test_a_notebook_runs(notebook: Path, workplace: Workplace, tmp_path: Path) -> None:
    cells = notebook.read_text(encoding="utf-8")
    for shown, here in FEWER.items():
        assert shown in cells
        cells = cells.replace(shown, here)
    path = tmp_path / notebook.name
    path.write_text(cells, encoding="utf-8")
    run(workplace, "-c", NOTEBOOK, str(path))


def test_a_notebook_finds_the_run_and_may_await(workplace: Workplace, tmp_path: Path) -> None:
    cells = [
        "import asyncio, pathlib",
        "await asyncio.sleep(0)",
        "[home] = pathlib.Path().glob('openmic-data')",
        "home / 0",
    ]
    for number, told in ((3, ""), (4, "TypeError")):
        path = tmp_path / f"{number}.ipynb"
        path.write_text(json.dumps(notebook_of(cells[:number])), encoding="utf-8")
        with pytest.raises(AssertionError, match=told) if told else nullcontext():
            run(workplace, "-c", NOTEBOOK, str(path))


def notebook_of(cells: list[str]) -> dict[str, Any]:
    code: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    made = [{**code, "id": f"cell-{number}", "source": source} for number, source in enumerate(cells)]
    return {"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def test_a_fault_is_told_by_the_page_and_its_line(workplace: Workplace, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    blocks = ["async def one() -> int:\n    return 1\n", "await one() / 0\n"]
    page.write_text("# A page\n" + "".join(f"\n```python\n{block}```\n" for block in blocks))
    with pytest.raises(AssertionError, match=r"page\.md\", line 9, in <module>[^$]*await one\(\) / 0"):
        run(workplace, "-m", "tests.docs.execute", str(page))
