"""The task that docs/how-to/tasks.md shows is one, and its functions do what the page says."""

import re
from pathlib import Path

import pytest

from openmic.agents.tasks.prompts import ROLES
from openmic.agents.tasks.task import load_task
from openmic.agents.tasks.task_file import Cleaning, TaskFile, Validity
from openmic.testing import check_task

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "tasks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(?:yaml|python)\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_task_without_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for block in BLOCKS:
        if named := re.match(r"# (answers\.\w+)\n", block):
            (tmp_path / named[1]).write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    task = load_task("answers.yaml")
    assert check_task(task) == []
    task.check_inputs(["question", "context"])
    source = {"question": "How many?", "context": "It says 12 here."}
    assert task.clean("Answer: There are 12.") == "There are 12."
    assert task.problem("They are 12 or so.", source) is None
    assert task.problem("They are 13 or so.", source) == "a number of its own"


def test_what_is_done_in_python_is_true() -> None:
    [block] = [block for block in BLOCKS if "openmic.testing" in block]
    exec(block, {})


def test_every_key_of_a_task_file_is_in_the_table() -> None:
    keys = {name for name in TaskFile.model_fields if name not in {*ROLES, "cleaning", "validity", "sampling"}}
    keys |= {f"{section}.functions" for section in ("cleaning", "validity")} | set(ROLES)
    keys |= {*Cleaning.model_fields, *Validity.model_fields}
    table = PAGE.partition("## The file")[2].partition("##")[0]
    missing = {key for key in keys if not re.search(rf"`[a-z.]*{re.escape(key)}[.`]", table)}
    assert missing == set()
