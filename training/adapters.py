"""Adapters on disk: written under a temporary name, committed by a manifest that is written last, verified before use.

A folder without a valid manifest is not an adapter. Nothing but safetensors is ever loaded.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.errors import AdapterError
from ..core.records import AdapterRef

MANIFEST = "manifest.json"


def adapter_folder(root: Path, version: int) -> Path:
    """Where version N of a run's adapters lies."""
    return root / f"v{version:06d}"


def commit_adapter(model: Any, root: Path, version: int, facts: Mapping[str, Any]) -> AdapterRef:
    """Write a PEFT model's adapter as `root/vNNNNNN` and return where it is.

    Args:
        model: A PEFT model with one adapter.
        root: The folder of the run's adapters; made if need be.
        version: The new version, 1 or more.
        facts: Base model, parent version and the like, for the manifest.

    Raises:
        AdapterError: the version was committed before; adapters never change.
    """
    target = adapter_folder(root, version)
    if (target / MANIFEST).exists():
        raise AdapterError(f"adapter version {version} is already committed in {target}; adapters never change")
    root.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".v{version:06d}.", dir=root))
    try:
        model.save_pretrained(str(work), safe_serialization=True)
        manifest = {"version": version, **facts, "files": {path.name: file_sha256(path) for path in _files(work)}}
        _write_synced(work / MANIFEST, json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        shutil.rmtree(target, ignore_errors=True)  # what an interrupted commit may have left, never a committed one
        work.replace(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return AdapterRef(version, str(target), file_sha256(target / MANIFEST))


def verify_adapter(ref: AdapterRef) -> Path:
    """The folder of an adapter whose files are all there and all as they were committed.

    Raises:
        AdapterError: names the file that is missing or was altered.
    """
    assert ref.uri is not None, "version 0 is the base model and has no folder"
    folder = Path(ref.uri)
    manifest_path = folder / MANIFEST
    if not manifest_path.is_file():
        raise AdapterError(f"{folder} holds no committed adapter: {MANIFEST} is missing; was its training interrupted?")
    if ref.sha256 is not None and file_sha256(manifest_path) != ref.sha256:
        raise AdapterError(f"{manifest_path} was altered since adapter version {ref.version} was committed; restore it")
    for name, expected in json.loads(manifest_path.read_text())["files"].items():
        path = folder / name
        if not path.is_file():
            raise AdapterError(f"adapter version {ref.version} lacks {name} in {folder}; restore it or train again")
        if file_sha256(path) != expected:
            raise AdapterError(f"{path} was altered since adapter version {ref.version} was committed; restore it")
    return folder


def committed_adapter(root: Path, version: int) -> AdapterRef | None:
    """The adapter of that version if its commit was completed, else None."""
    manifest = adapter_folder(root, version) / MANIFEST
    return AdapterRef(version, str(manifest.parent), file_sha256(manifest)) if manifest.is_file() else None


def file_sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _write_synced(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
