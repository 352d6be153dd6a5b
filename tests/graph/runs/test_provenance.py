import os
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

import pytest

from openmic.agents.tasks.task import Task, load_task
from openmic.core.config import RunConfig
from openmic.graph.runs.provenance import file_changes, run_record

from ...agents.tasks import task_functions
from ..conftest import config_of

ADDRESS = "postgresql://me:s3cret@host/db"


def test_a_run_is_recorded_without_the_password_of_its_store(tmp_path: Path) -> None:
    config = config_of(store=ADDRESS)
    arguments = ["run", "x.yaml", "--set", f"store={ADDRESS}"]
    row = run_record("RUN1", config, load_task("humor"), simulated=True, plugs={}, home=tmp_path, arguments=arguments)
    assert "s3cret" not in row.model_dump_json()
    assert row.arguments == ["run", "x.yaml", "--set", "store=postgresql://me@host/db"]
    assert RunConfig.model_validate(row.config).store == "postgresql://me@host/db"
    assert (
        row.config_hash
        == run_record(
            "RUN2",
            config_of(store="postgresql://me@host/db"),
            load_task("humor"),
            simulated=True,
            plugs={},
            home=tmp_path,
            arguments=[],
        ).config_hash
    )


def test_a_run_is_recorded_with_the_functions_of_its_task(tmp_path: Path) -> None:
    task = Task.from_file("humor", clean=task_functions.tidy)
    row = run_record("RUN1", config_of(), task, simulated=True, plugs={"cast.critic": {}}, home=tmp_path, arguments=[])
    assert sorted(row.plugs) == ["cast.critic", "task.cleaning.functions.0"]
    tidy = row.plugs["task.cleaning.functions.0"]
    assert (tidy["use"], tidy["importable"]) == (f"{task_functions.__name__}:tidy", True)
    assert tidy["source_hash"]


@pytest.fixture
def not_installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that finds openmic in its source tree, and everything else as it is installed."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "openmic" not in entry.name:
            (folder / entry.name).symlink_to(entry)
    (folder / "openmic").symlink_to(Path(__file__).parents[3] / "src" / "openmic")
    return {**os.environ, "PYTHONPATH": str(folder)}


@pytest.mark.slow
def test_a_package_that_is_run_from_its_source_is_recorded_as_that(
    not_installed: dict[str, str], tmp_path: Path
) -> None:
    program = """
import pathlib
from openmic.agents.tasks.task import load_task
from openmic.core.config import RunConfig
from openmic.graph.runs.provenance import file_changes, run_record

config = RunConfig.model_validate({"name": "x", "inputs": {"path": "inputs.txt"}})
row = run_record("RUN1", config, load_task("humor"), simulated=True, plugs={}, home=pathlib.Path(), arguments=[])
print(row.packages["openmic"], row.packages["torch"], sep="\\n")
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], env=not_installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["unknown (run from source)", version("torch")]


def test_what_a_configuration_file_says_otherwise_by_now_is_named_key_by_key(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "seed: 3\nstore: postgresql://me:hidden@db/openmic\ninputs: {path: x.txt, fields: [a, b]}\nbudget: {}\n"
    )
    config = RunConfig.model_validate({"inputs": {"path": "x.txt"}})
    task = load_task("humor")
    run = run_record(
        "RUN1", config, task, simulated=True, plugs={}, home=tmp_path, arguments=[], config_file=Path(path)
    )
    assert "hidden" not in str(run.config_file)
    assert file_changes(run) == []
    path.write_text("# a remark\nstore: postgresql://me@db/openmic\nseed: 3\ninputs: {fields: [a, b], path: x.txt}\n")
    assert file_changes(run) == ["budget: {} -> not set"]
    path.write_text("seed: 4\nstore: postgresql://me@db/openmic\ninputs: {path: x.txt, fields: [b, a]}\nrounds: 2\n")
    assert file_changes(run) == [
        "seed: 3 -> 4",
        'inputs.fields: ["a", "b"] -> ["b", "a"]',
        "budget: {} -> not set",
        "rounds: not set -> 2",
    ]
    path.write_text("seed: [")
    assert file_changes(run)[0].startswith("it cannot be read any more: ")
    path.unlink()
    assert file_changes(run) == ["it is not there any more"]


def test_a_run_without_a_file_has_nothing_that_could_change(tmp_path: Path) -> None:
    config = RunConfig.model_validate({"inputs": {"path": "x.txt"}})
    run = run_record("RUN1", config, load_task("humor"), simulated=True, plugs={}, home=tmp_path, arguments=[])
    assert run.config_file == {}
    assert file_changes(run) == []
