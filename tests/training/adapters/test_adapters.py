import errno
import hashlib
import json
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.errors import AdapterError
from openmic.core.records import AdapterRef, TrainingMetrics
from openmic.training.adapters.adapters import (
    CARD,
    MANIFEST,
    adapter_uri,
    commit_adapter,
    committed_adapter,
    file_sha256,
    made_adapter,
    verify_adapter,
)
from openmic.training.engines.tiny_student import random_adapter

from ..conftest import BuildStudent
from ..factories import messages

WEIGHTS = "adapter_model.safetensors"


class Saves:
    """Stands for a PEFT model whose saving can be cut short."""

    def __init__(self, text: str = "weights", fails: BaseException | None = None) -> None:
        self._text, self._fails = text, fails

    def save_pretrained(self, folder: str, **_: Any) -> None:
        Path(folder, WEIGHTS).write_text(self._text)
        if self._fails is not None:
            raise self._fails
        Path(folder, "adapter_config.json").write_text("{}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def committed(tmp_path: Path) -> AdapterRef:
    return commit_adapter(Saves(), tmp_path / "run", 1, {"parent": 0})


def test_a_commit_is_a_folder_with_a_manifest_of_all_its_files(tmp_path: Path) -> None:
    root = tmp_path / "not" / "there" / "yet"
    ref = commit_adapter(Saves(), root, 3, {"parent": 2, "base_model": "llama"})
    folder = root / "v000003"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert ref == AdapterRef(3, str(folder), sha256(folder / MANIFEST))
    assert adapter_uri(root, 3) == str(folder)
    assert manifest == {
        "version": 3,
        "parent": 2,
        "base_model": "llama",
        "files": {name: sha256(folder / name) for name in ("adapter_config.json", WEIGHTS)},
    }
    assert [path.name for path in root.iterdir()] == ["v000003"]
    assert verify_adapter(ref) == folder


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_commit_that_is_cut_short_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        commit_adapter(Saves(fails=error), tmp_path, 1, {})
    assert list(tmp_path.iterdir()) == []
    assert committed_adapter(tmp_path, 1) is None
    assert verify_adapter(commit_adapter(Saves(), tmp_path, 1, {})) == Path(adapter_uri(tmp_path, 1))


def test_the_manifest_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    real = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append({path.name for path in self.iterdir()})
        assert not target.exists()
        return real(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    commit_adapter(Saves(), tmp_path, 1, {})
    assert seen == [{WEIGHTS, "adapter_config.json", MANIFEST}]  # in one move, complete


def test_all_of_it_is_on_the_disk_before_it_takes_its_place_and_its_place_is_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    sync, move = os.fsync, Path.replace

    def watched_sync(opened: int) -> None:
        seen.append(str(Path(f"/proc/self/fd/{opened}").readlink()))
        sync(opened)

    def watched_move(self: Path, target: Path) -> Path:
        seen.append(f"{self} is moved")
        return move(self, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(Path, "replace", watched_move)
    metrics = TrainingMetrics(1, 4, 1, 1.0, 0.5)
    root = tmp_path / "not" / "there" / "yet"
    folder = Path(str(commit_adapter(Saves(), root, 1, {}, metrics=metrics, carries={CARD: "# card\n"}).uri))
    [moved] = [place for place, what in enumerate(seen) if what.endswith(" is moved")]
    work = seen[moved].removesuffix(" is moved")
    assert seen[:moved] == [*(f"{work}/{path.name}" for path in sorted(folder.iterdir())), work]
    assert seen[moved + 1 :][:4] == [str(root), str(root.parent), str(root.parent.parent), str(tmp_path)]


def test_a_folder_that_the_disk_does_not_take_is_no_adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(opened: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuses)
        with pytest.raises(OSError, match="Input/output"):
            commit_adapter(Saves(), tmp_path, 1, {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_cannot_write_folders_through_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def files_alone(opened: int) -> None:
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(opened)

    monkeypatch.setattr(os, "fsync", files_alone)
    verify_adapter(commit_adapter(Saves(), tmp_path, 1, {}))


def test_a_folder_that_was_never_committed_is_replaced(tmp_path: Path) -> None:
    folder = Path(adapter_uri(tmp_path, 1))
    folder.mkdir()
    (folder / "half").write_text("x")
    ref = commit_adapter(Saves(), tmp_path, 1, {})
    assert verify_adapter(ref) == folder
    assert not (folder / "half").exists()


def test_what_a_killed_trainer_left_half_written_goes_with_the_next(tmp_path: Path) -> None:
    for version in (1, 2):
        (tmp_path / f".v{version:06d}.abcd").mkdir()
    folder = Path(str(commit_adapter(Saves(), tmp_path, 1, {}).uri))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".v000002.abcd", folder.name]


def test_a_committed_version_is_never_overwritten(tmp_path: Path, committed: AdapterRef) -> None:
    with pytest.raises(AdapterError, match="version 1 is already committed"):
        commit_adapter(Saves("others"), tmp_path / "run", 1, {})
    folder = verify_adapter(committed)
    assert (folder / WEIGHTS).read_text() == "weights"
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["v000001"]


def test_a_committed_version_is_found_again(tmp_path: Path, committed: AdapterRef) -> None:
    assert committed_adapter(tmp_path / "run", 1) == committed
    assert committed_adapter(tmp_path / "run", 2) is None


def test_an_altered_file_is_found(committed: AdapterRef) -> None:
    path = Path(str(committed.uri), WEIGHTS)
    path.write_text("weightz")
    with pytest.raises(AdapterError, match="was altered") as caught:
        verify_adapter(committed)
    assert str(path) in str(caught.value)
    assert "version 1" in str(caught.value)


def test_a_missing_file_is_found(committed: AdapterRef) -> None:
    Path(str(committed.uri), WEIGHTS).unlink()
    with pytest.raises(AdapterError, match=f"version 1 lacks {WEIGHTS}"):
        verify_adapter(committed)


def test_an_altered_manifest_is_found(committed: AdapterRef) -> None:
    path = Path(str(committed.uri), MANIFEST)
    path.write_text(path.read_text().replace('"parent": 0', '"parent": 1'))
    with pytest.raises(AdapterError, match=r"manifest\.json was altered"):
        verify_adapter(committed)


@pytest.mark.parametrize("said", [b"", b'{"files": ', b"[]", b'{"version": 1}', b'{"files": 7}', b"\xff\xfe"])
def test_a_manifest_that_nobody_understands_is_told_where_no_hash_is_known(committed: AdapterRef, said: bytes) -> None:
    Path(str(committed.uri), MANIFEST).write_bytes(said)
    with pytest.raises(AdapterError, match=r"manifest.json cannot be understood; restore it, or have .* --again"):
        verify_adapter(replace(committed, sha256=None))
    with pytest.raises(AdapterError, match="was altered since adapter version"):
        verify_adapter(committed)


def test_a_folder_without_a_manifest_is_no_adapter(committed: AdapterRef) -> None:
    Path(str(committed.uri), MANIFEST).unlink()
    with pytest.raises(AdapterError, match="holds no committed adapter"):
        verify_adapter(committed)


def test_a_folder_that_is_gone_is_no_adapter(committed: AdapterRef) -> None:
    shutil.rmtree(str(committed.uri))
    with pytest.raises(AdapterError, match="holds no committed adapter"):
        verify_adapter(committed)


def test_the_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_plain_peft_opens_it_on_the_base_model(
    student: BuildStudent, name: str, tiny_causal: Path, tiny_seq2seq: Path, tmp_path: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    one = student(name)
    adapted = random_adapter(one.model, one.kind, seed=4)
    folder = Path(str(commit_adapter(adapted, tmp_path, 1, {"parent": 0}).uri))
    source = str(tiny_causal if name == "llama" else tiny_seq2seq)
    loader = AutoModelForCausalLM if name == "llama" else AutoModelForSeq2SeqLM
    opened = PeftModel.from_pretrained(loader.from_pretrained(source), str(folder)).eval()
    ids = AutoTokenizer.from_pretrained(source)(messages()[1].content, return_tensors="pt")["input_ids"]
    inputs = {"input_ids": ids} if name == "llama" else {"input_ids": ids, "labels": ids}
    with torch.no_grad():
        expected, found, base = adapted(**inputs).logits, opened(**inputs).logits, one.model(**inputs).logits
    assert torch.allclose(found, expected, atol=1e-6)
    assert (found - base).abs().max() > 0.1
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == Path(source).name
    assert not [path for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pkl"}]


def test_only_what_this_training_of_this_run_made_is_taken_for_it(tmp_path: Path) -> None:
    assert made_adapter(tmp_path, 1, "RUN1", "key") is None
    ref = commit_adapter(Saves(), tmp_path, 1, {"run": "RUN1", "training": "key"})
    assert made_adapter(tmp_path, 1, "RUN1", "key") == ref
    with pytest.raises(AdapterError, match=r"holds an adapter of another training.*Move it away, then resume"):
        made_adapter(tmp_path, 1, "RUN1", "other key")
    with pytest.raises(AdapterError, match="holds an adapter of run RUN1, where adapter version 1 of run RUN2 is"):
        made_adapter(tmp_path, 1, "RUN2", "key")
    Path(str(ref.uri), MANIFEST).write_text("[broken")
    with pytest.raises(AdapterError, match="another training"):
        made_adapter(tmp_path, 1, "RUN1", "key")


def test_an_adapter_s_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = Path(str(commit_adapter(Saves(), tmp_path / "run" / "adapters", 1, {}).uri))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent, folder.parent.parent)} == {0o700}
