"""Stores, storage, students and tasks that cannot be used: see `refusal` for what they get."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import StudentError
from openmic.training.student import packaged_weights

from ..whole_run import openmic as openmic_process
from .conftest import Openmic, Outcome
from .refusal import refused


def student_folder(folder: Path, **config: Any) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("model_type", "architecture"), [("bert", "BertForMaskedLM"), ("vit", "ViTModel"), ("clip", "CLIPModel")]
)
def test_a_student_that_is_neither_causal_nor_sequence_to_sequence(
    openmic: Openmic, config: Path, tmp_path: Path, model_type: str, architecture: str
) -> None:
    folder = student_folder(tmp_path / "encoder", model_type=model_type, architectures=[architecture])
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"student.model={folder}")
    assert f"student.model '{folder}' is neither a causal nor a sequence-to-sequence" in error
    assert architecture in error


def test_a_student_folder_that_is_not_there_or_holds_no_model(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "no-student")
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"student.model={missing}")
    assert f"student.model '{missing}' is not a folder" in error
    (tmp_path / "hollow").mkdir()
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"student.model={tmp_path / 'hollow'}")
    assert "cannot be opened" in error
    assert "config.json" in error


def test_a_store_that_cannot_be_written(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("this is no database at all, but a long text")
    for store, said in (
        ("file/openmic.db", "is not a folder"),
        ("folder", "is a folder"),
        ("text.db", "is not a SQLite database"),
        ("mysql://me:s3cret@host/db", "SQLite or PostgreSQL"),
        ("postgresql://me:s3cret@127.0.0.1:1/db", "cannot be reached"),
        ("sqlite://", "names no file"),
    ):
        error = refused(openmic, tmp_path, "run", str(config), "--set", f"store={store}")
        assert said in error
        assert "s3cret" not in error
    assert "is not a folder" in refused(openmic, tmp_path, "run", str(config), "--set", "home=file")


def test_storage_that_cannot_be_used(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for storage, said in (
        ("file/adapters", "is not a folder"),
        ("nosuch://bucket", "storage_uri 'nosuch://bucket' cannot be used"),
        ("sftp://me:s3cret@host/x", "it holds a password"),
    ):
        error = refused(openmic, tmp_path, "run", str(config), "--set", f"storage_uri={storage}")
        assert said in error


@pytest.mark.slow
def test_a_store_in_a_folder_without_permission(config: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    # Nothing is forbidden to root, until it lets go of that power.
    unprivileged = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    done = openmic_process("run", str(config), "--set", "store=locked/openmic.db", cwd=tmp_path, prefix=unprivileged)
    error = refused(lambda *_: Outcome(done.returncode, done.stdout, done.stderr), tmp_path)
    assert "no permission to write" in error


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("humour", ["there is no task 'humour'", "humor"]),
        ("gone.yaml", ["gone.yaml", "cannot be read"]),
        ("half.yaml", ["half.yaml", "student"]),
    ],
)
def test_a_task_that_is_none(openmic: Openmic, config: Path, tmp_path: Path, task: str, said: list[str]) -> None:
    (tmp_path / "half.yaml").write_text("name: half\nversion: 1\ndescription: d\n")
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"task={task}")
    for words in said:
        assert words in error


def test_a_tilde_that_the_shell_left_alone_is_the_home_folder(
    openmic: Openmic, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "me"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    assert openmic("graph", "draw", "dialogue", "--output=~/dialogue.mmd").code == 0
    assert (home / "dialogue.mmd").exists()
    text = config.read_text(encoding="utf-8")
    (home / "mine.yaml").write_text(text, encoding="utf-8")
    (home / "inputs.txt").write_bytes((tmp_path / "inputs.txt").read_bytes())
    task = f"task={tmp_path / 'lenient.yaml'}"
    settings = ["--set", task, "--set", "inputs.path=~/inputs.txt", "--set", "home=~/data", "--dry-run", "--json"]
    outcome = openmic("run", "~/mine.yaml", *settings)
    assert outcome.code == 0, outcome
    planned = json.loads(outcome.out)
    assert planned["home"] == str(home / "data")
    assert planned["store"] == str(home / "data" / "openmic.db")
    error = refused(openmic, tmp_path, "run", str(config), "--set", "student.model=~/small")
    assert f"student.model '{home / 'small'}' is not a folder" in error
    assert str(home / "none.db") in refused(openmic, tmp_path, "status", "--store=~/none.db")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["run", "CONFIG", "--set", "home=locked/data", "--set", "store=x.db"],
            "home 'locked/data' cannot be written: no",
        ),
        (["graph", "draw", "--output", "locked/x.mmd"], "cannot be written to 'locked/x.mmd': Permission denied"),
    ],
)
def test_a_folder_that_is_read_only_is_one_line(config: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    unprivileged = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
    given = [str(config) if each == "CONFIG" else each for each in arguments]
    done = openmic_process(*given, cwd=tmp_path, prefix=unprivileged)
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cache_that_is_read_only_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OPENMIC_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(packaged_weights, "packaged_file", lambda name: tmp_path / name)
    with pytest.raises(StudentError, match="is not a folder; set OPENMIC_CACHE to a folder that can be written"):
        packaged_weights.check_packaged("smollm2-135m-instruct")
