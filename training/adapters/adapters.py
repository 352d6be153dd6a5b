"""Adapters: written under a temporary name, committed by a manifest that is written last, verified before use.

An adapter lies in a folder, or in remote storage (see `storage`), from which it is fetched into a local cache before it
is used. Files without a valid manifest are not an adapter. Nothing but safetensors is ever loaded. How training went
lies beside the adapter and is no part of it: seconds differ where every byte of the weights is the same.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.errors import AdapterError, AlteredAdapterError
from ...core.files.durable import place_through
from ...core.files.private import make_private, private_folder
from ...core.records import AdapterRef, TrainingMetrics
from ..student.packaged_weights import cache_folder
from ..student.published import PublishedBase, without_place
from .storage import folder_of, is_remote, join_uri, read, upload

MANIFEST = "manifest.json"
METRICS = "training_metrics.json"
CARD = "README.md"
"""The model card. No part of what was committed: figures come later than the adapter."""
RESTORE = "restore it, or have `openmic train --again` make it anew"
"""What mends an adapter that was lost or altered."""


def adapter_uri(root: str | Path, version: int) -> str:
    """Where version N of a run's adapters lies: a folder's path, or an address under a remote root."""
    return join_uri(str(root), f"v{version:06d}")


def commit_adapter(
    model: Any,
    root: str | Path,
    version: int,
    facts: Mapping[str, Any],
    *,
    metrics: TrainingMetrics | None = None,
    base: PublishedBase | None = None,
    carries: Mapping[str, str] | None = None,
) -> AdapterRef:
    """Write a PEFT model's adapter as `root/vNNNNNN` and return where it is.

    Args:
        model: A PEFT model with one adapter.
        root: The folder of the run's adapters, made if need be, or an address of remote storage.
        version: The new version, 1 or more.
        facts: Parent version and the like, for the manifest.
        metrics: How its training went, for whoever finds the adapter after the process that waited for it has died.
        base: What its base model is called elsewhere. None: the name that PEFT knows, without a folder's place.
        carries: Text files that travel with it, by name.

    Raises:
        AdapterError: the version was committed before (adapters never change), or the storage cannot be written.
    """
    target = adapter_uri(root, version)
    if committed_adapter(root, version) is not None:
        raise AdapterError(f"adapter version {version} is already committed in {target}; adapters never change")
    remote = is_remote(target)
    # Beside the target, so that the folder can take its place in one step.
    beside = None if remote else folder_of(str(root))
    begun = f".v{version:06d}."
    if beside is not None:
        private_folder(beside)
        for left in beside.glob(f"{begun}*"):  # by a trainer that was killed
            shutil.rmtree(left, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=begun, dir=beside))
    try:
        # Without the base's own embeddings, which PEFT would add where an adapter is on them: nothing loads those.
        model.save_pretrained(str(work), safe_serialization=True, save_embedding_layers=False)
        said = _name_base(work / "adapter_config.json", base)
        for name, text in (carries or {}).items():
            (work / name).write_text(text, encoding="utf-8")
        card = [] if CARD not in (carries or {}) else [work / CARD]
        if not card:
            (work / CARD).unlink(missing_ok=True)  # PEFT's, which names folders of this machine
        files = [path for path in _files(work) if path not in card]
        sha256s = {path.name: file_sha256(path) for path in files}
        manifest = {"version": version, **said, **facts, "files": sha256s}
        files.extend(card)
        if metrics is not None:
            (work / METRICS).write_text(json.dumps(asdict(metrics)) + "\n", encoding="utf-8")
            files.append(work / METRICS)
        (work / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        sha256 = file_sha256(work / MANIFEST)
        make_private(work)
        if remote:
            for path in (*files, work / MANIFEST):  # the manifest last: nothing is an adapter before it is there
                upload(path, f"{target}/{path.name}")
        else:
            shutil.rmtree(target, ignore_errors=True)  # what an interrupted commit may have left, never a committed one
            place_through(work, Path(target))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return AdapterRef(version, target, sha256)


def _name_base(config: Path, base: PublishedBase | None) -> dict[str, Any]:
    """Have an adapter's configuration name the base model as others know it; what the manifest says of it."""
    if not config.is_file():
        return {}
    values = json.loads(config.read_text(encoding="utf-8"))
    name = values.get("base_model_name_or_path")
    if base is None:
        base = None if name is None else PublishedBase(without_place(str(name)), values.get("revision"))
    if base is None:
        return {}
    values |= {"base_model_name_or_path": base.name, "revision": base.revision}
    config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return {"base_model": base.full_name}


def replace_card(ref: AdapterRef, text: str) -> None:
    """Write an adapter's card anew, in its folder or in remote storage.

    Whoever looks meanwhile sees the old one or the new.

    Raises:
        AdapterError: the storage cannot be written.
    """
    assert ref.uri is not None, "version 0 is the base model and has no folder"
    remote = is_remote(ref.uri)
    work = Path(tempfile.mkdtemp(prefix=".card.", dir=None if remote else folder_of(ref.uri)))
    try:
        (work / CARD).write_text(text, encoding="utf-8")
        if remote:
            upload(work / CARD, f"{ref.uri}/{CARD}")
        else:
            make_private(work)
            (work / CARD).replace(folder_of(ref.uri) / CARD)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def verify_adapter(ref: AdapterRef) -> Path:
    """The folder of an adapter whose files are all there and all as they were committed.

    A remote adapter is fetched once into the cache, under the hash of its manifest.

    Raises:
        AlteredAdapterError: names the file that is missing or was altered.
        AdapterError: says why the storage cannot be read.
    """
    assert ref.uri is not None, "version 0 is the base model and has no folder"
    if is_remote(ref.uri):
        return _cached(ref, ref.uri)
    folder = folder_of(ref.uri)
    _verify(folder, ref, str(folder))
    return folder


def committed_files(folder: Path) -> list[str]:
    """Names of the files that a verified adapter is made of, its manifest among them. Others may lie beside them."""
    return [*sorted(_manifest(str(folder))["files"]), MANIFEST]


def committed_adapter(root: str | Path, version: int) -> AdapterRef | None:
    """The adapter of that version if its commit was completed, else None.

    Raises:
        AdapterError: the storage cannot be read.
    """
    uri = adapter_uri(root, version)
    if is_remote(uri):
        manifest = read(f"{uri}/{MANIFEST}")
        return None if manifest is None else AdapterRef(version, uri, hashlib.sha256(manifest).hexdigest())
    path = Path(uri, MANIFEST)
    return AdapterRef(version, uri, file_sha256(path)) if path.is_file() else None


def made_adapter(root: str | Path, version: int, run: str, training: str) -> AdapterRef | None:
    """The adapter of that version if this training of this run made it; None where its commit was not completed.

    Args:
        root: The folder of the run's adapters, or an address of remote storage.
        version: The version.
        run: The run's id.
        training: The key of the training's job.

    Raises:
        AdapterError: another run's or another training's adapter is in its place, or the storage cannot be read.
    """
    found = committed_adapter(root, version)
    if found is None:
        return None
    manifest = _manifest(str(found.uri))
    if (manifest.get("run"), manifest.get("training")) == (run, training):
        return found
    whose = f"run {manifest['run']}" if manifest.get("run") not in {None, run} else "another training"
    raise AdapterError(
        f"{found.uri} holds an adapter of {whose}, where adapter version {version} of run {run} is to be: is the "
        "folder used by a copy of this store? Move it away, then resume"
    )


def metrics_beside(ref: AdapterRef) -> TrainingMetrics | None:
    """How an adapter's training went, as it was committed with it; None where that is gone or cannot be understood.

    Raises:
        AdapterError: the storage cannot be read.
    """
    try:
        return TrainingMetrics.from_dict(json_beside(str(ref.uri), METRICS))
    except (KeyError, TypeError):
        return None


def _manifest(uri: str) -> dict[str, Any]:
    """What a manifest says; nothing where it cannot be understood."""
    return json_beside(uri, MANIFEST)


def json_beside(uri: str, name: str) -> dict[str, Any]:
    """What one of an adapter's files says; nothing where it is gone or cannot be understood."""
    try:
        data = read(f"{uri}/{name}") if is_remote(uri) else Path(uri, name).read_bytes()
        said = json.loads(data or b"")
    except (ValueError, FileNotFoundError):
        return {}
    return said if isinstance(said, dict) else {}


def adapter_version(folder: str | Path) -> int:
    """The version that the manifest in an adapter's folder says.

    Raises:
        AdapterError: there is no manifest, or it says none.
    """
    path = Path(folder, MANIFEST)
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["version"])
    except FileNotFoundError:
        raise AdapterError(
            f"{folder} holds no committed adapter: {MANIFEST} is missing; name an adapter's folder"
        ) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise AdapterError(f"{path} cannot be read: {type(error).__name__}: {error}; restore it") from error


def file_sha256(path: Path) -> str:
    """The file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(folder: Path, ref: AdapterRef, place: str) -> None:
    manifest_path = folder / MANIFEST
    if not manifest_path.is_file():
        raise AlteredAdapterError(f"{place} holds no committed adapter: {MANIFEST} is missing; {RESTORE}")
    if ref.sha256 is not None and file_sha256(manifest_path) != ref.sha256:
        raise AlteredAdapterError(
            f"{place}/{MANIFEST} was altered since adapter version {ref.version} was committed; {RESTORE}"
        )
    try:
        files = dict(json.loads(manifest_path.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise AlteredAdapterError(f"{place}/{MANIFEST} cannot be understood; {RESTORE}") from error
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise AlteredAdapterError(f"adapter version {ref.version} lacks {name} in {place}; {RESTORE}")
        if file_sha256(path) != expected:
            raise AlteredAdapterError(
                f"{place}/{name} was altered since adapter version {ref.version} was committed; {RESTORE}"
            )


def _cached(ref: AdapterRef, uri: str) -> Path:
    """The cached copy of a remote adapter, fetched where there is none that is whole."""
    if ref.sha256 is None:
        found = read(f"{uri}/{MANIFEST}")
        ref = AdapterRef(ref.version, uri, hashlib.sha256(found or b"").hexdigest())
    assert ref.sha256 is not None
    target = cache_folder() / "adapters" / ref.sha256
    if target.is_dir():
        try:
            _verify(target, ref, str(target))
        except AdapterError:
            shutil.rmtree(target, ignore_errors=True)  # it can be fetched again
        else:
            return target
    private_folder(target.parent)
    work = Path(tempfile.mkdtemp(prefix=f"{ref.sha256}.", dir=target.parent))
    try:
        _fetch(uri, work)
        _verify(work, ref, uri)
        try:
            work.replace(target)
        except OSError:  # another process of this machine fetched the same adapter first
            _verify(target, ref, str(target))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _fetch(uri: str, folder: Path) -> None:
    manifest = read(f"{uri}/{MANIFEST}")
    if manifest is None:
        return
    (folder / MANIFEST).write_bytes(manifest)
    try:
        names = list(json.loads(manifest)["files"])
    except (ValueError, KeyError, TypeError):
        return  # that it is not what was committed is found when it is verified
    for name in names:
        if Path(name).name != name:
            raise AdapterError(f"{uri}/{MANIFEST} names {name!r}, which is outside the adapter; restore it")
        if (data := read(f"{uri}/{name}")) is not None:
            (folder / name).write_bytes(data)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
