import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from openmic.core.errors import AdapterError, ConfigError
from openmic.core.records import AdapterRef
from openmic.training.adapters import adapters, storage
from openmic.training.adapters.adapters import (
    MANIFEST,
    commit_adapter,
    committed_adapter,
    verify_adapter,
)
from openmic.training.adapters.storage import check_storage, folder_of, is_remote, join_uri, there

from .test_adapters import WEIGHTS, Saves

ROOT = "memory://bucket/openmic/RUN1/adapters"


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Object storage, which here lies in this process's memory, and an empty cache."""
    monkeypatch.setenv("OPENMIC_CACHE", str(tmp_path / "cache"))
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/bucket", recursive=True)


@pytest.fixture
def committed(remote: Any) -> AdapterRef:
    return commit_adapter(Saves(), ROOT, 1, {"parent": 0})


def test_what_is_remote_and_what_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [is_remote(uri) for uri in ("s3://b/x", "memory://x", "simplecache::s3://b", "/x", "x", "file:///x")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert folder_of("x") == folder_of(f"file://{tmp_path}/x") == tmp_path / "x"
    assert join_uri("s3://b/x/", "RUN1", "adapters") == "s3://b/x/RUN1/adapters"
    assert join_uri(f"file://{tmp_path}", "RUN1", "adapters") == str(tmp_path / "RUN1" / "adapters")


def test_an_adapter_comes_back_from_storage_as_it_was_committed(committed: AdapterRef, tmp_path: Path) -> None:
    assert (committed.version, committed.uri) == (1, f"{ROOT}/v000001")
    assert committed_adapter(ROOT, 1) == committed
    assert committed_adapter(ROOT, 2) is None
    folder = verify_adapter(committed)
    assert folder == tmp_path / "cache" / "adapters" / str(committed.sha256)
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", WEIGHTS, MANIFEST]
    assert (folder / WEIGHTS).read_text() == "weights"
    assert [path.name for path in folder.parent.iterdir()] == [committed.sha256]
    assert verify_adapter(AdapterRef(1, committed.uri)) == folder


def test_it_is_fetched_once(committed: AdapterRef, remote: Any) -> None:
    folder = verify_adapter(committed)
    remote.rm("/bucket/openmic", recursive=True)
    assert verify_adapter(committed) == folder
    remote.touch("/bucket/other")


def test_a_broken_copy_in_the_cache_is_fetched_again(committed: AdapterRef) -> None:
    (verify_adapter(committed) / WEIGHTS).write_text("weightz")
    assert (verify_adapter(committed) / WEIGHTS).read_text() == "weights"


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda files, at: files.pipe_file(f"{at}/{WEIGHTS}", b"weightz"), f"{WEIGHTS} was altered"),
        (lambda files, at: files.rm(f"{at}/{WEIGHTS}"), f"version 1 lacks {WEIGHTS}"),
        (lambda files, at: files.pipe_file(f"{at}/{MANIFEST}", b"{}"), r"manifest\.json was altered"),
        (lambda files, at: files.pipe_file(f"{at}/{MANIFEST}", b"no JSON"), r"manifest\.json was altered"),
        (lambda files, at: files.rm(f"{at}/{MANIFEST}"), "holds no committed adapter"),
    ],
)
def test_what_is_broken_in_storage_is_found(committed: AdapterRef, remote: Any, spoil: Any, why: str) -> None:
    spoil(remote, "/bucket/openmic/RUN1/adapters/v000001")
    with pytest.raises(AdapterError, match=why) as caught:
        verify_adapter(committed)
    assert str(committed.uri) in str(caught.value)
    assert list((storage_cache() / "adapters").iterdir()) == []


def storage_cache() -> Path:
    return Path(os.environ["OPENMIC_CACHE"])


def test_a_manifest_that_names_what_lies_elsewhere_is_refused(committed: AdapterRef, remote: Any) -> None:
    remote.pipe_file(f"/bucket/openmic/RUN1/adapters/v000001/{MANIFEST}", json.dumps({"files": {"../x": "0"}}).encode())
    with pytest.raises(AdapterError, match=r"'\.\./x', which is outside"):
        verify_adapter(committed)


def test_the_manifest_is_written_last_and_a_cut_off_commit_is_none(
    remote: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []

    def upload(file: Path, uri: str) -> None:
        if len(written) == 2:
            raise AdapterError("the network is gone")
        written.append(file.name)
        storage.upload(file, uri)

    monkeypatch.setattr(adapters, "upload", upload)
    with pytest.raises(AdapterError, match="network"):
        commit_adapter(Saves(), ROOT, 1, {})
    assert written == ["adapter_config.json", WEIGHTS]
    assert committed_adapter(ROOT, 1) is None
    monkeypatch.undo()
    monkeypatch.setenv("OPENMIC_CACHE", str(tmp_path / "cache"))
    assert (verify_adapter(commit_adapter(Saves("others"), ROOT, 1, {})) / WEIGHTS).read_text() == "others"


def test_a_version_is_committed_once(committed: AdapterRef) -> None:
    with pytest.raises(AdapterError, match="already committed in memory://bucket"):
        commit_adapter(Saves("others"), ROOT, 1, {})
    assert (verify_adapter(committed) / WEIGHTS).read_text() == "weights"


def test_a_folder_by_its_address_is_a_folder(tmp_path: Path) -> None:
    ref = commit_adapter(Saves(), f"file://{tmp_path}/shared", 1, {})
    assert ref.uri == str(tmp_path / "shared" / "v000001")
    assert committed_adapter(f"file://{tmp_path}/shared", 1) == ref
    assert verify_adapter(AdapterRef(1, f"file://{ref.uri}", ref.sha256)) == Path(ref.uri)


def test_storage_that_does_not_answer_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMIC_CACHE", str(tmp_path))

    def broken(uri: str) -> Any:
        raise TimeoutError("no route\nto the bucket")

    monkeypatch.setattr(storage, "_open", broken)
    for attempt in (
        lambda: committed_adapter(ROOT, 1),
        lambda: storage.upload(tmp_path / "x", f"{ROOT}/x"),
        lambda: verify_adapter(AdapterRef(1, f"{ROOT}/v000001", "0")),
    ):
        with pytest.raises(AdapterError, match=r"memory://bucket.*TimeoutError: no route to the bucket.*storage_uri"):
            attempt()


def test_storage_that_can_be_used_passes_and_nothing_is_made(tmp_path: Path) -> None:
    check_storage(str(tmp_path / "not" / "yet"))
    check_storage(f"file://{tmp_path}/not/yet")
    assert list(tmp_path.iterdir()) == []


def test_storage_that_cannot_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for uri, why in (
        (str(tmp_path / "file" / "x"), "is not a folder"),
        ("nosuch://x", "nosuch"),
        ("memory://x", "forgotten with its process"),
    ):
        with pytest.raises(ConfigError, match=why):
            check_storage(uri)
    monkeypatch.setattr(os, "access", lambda *_: False)  # not by chmod, which does not stop root
    with pytest.raises(ConfigError, match="no permission"):
        check_storage(str(tmp_path / "x"))


def test_a_missing_package_is_named() -> None:
    from fsspec.registry import known_implementations, register_implementation

    register_implementation("openmic-test", "no_such_package.FileSystem", errtxt="Install no_such_package to use it")
    try:
        with pytest.raises(ConfigError, match="Install no_such_package"):
            check_storage("openmic-test://x")
    finally:
        known_implementations.pop("openmic-test")


def test_a_folder_is_there_for_the_time_of_a_block_and_nothing_of_it_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with there(tmp_path / "mine" / "a" / "b"):
        assert (tmp_path / "mine" / "a" / "b").is_dir()
    assert list((tmp_path / "mine").iterdir()) == []
    with pytest.raises(OSError, match="too long"), there(tmp_path / "mine" / "a" / ("b" * 300)):
        pass
    assert list((tmp_path / "mine").iterdir()) == []
    with there(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()
