"""Which files a student's weights are, so that a run never goes on with others than those it began with."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from ...core.section import from_home
from ...core.student_settings import StudentWeights
from .packaged_weights import PACKAGED, place_in_package

OPENED = frozenset({".safetensors", ".bin", ".json", ".model", ".txt", ".jinja", ".py", ".tiktoken"})
"""Endings of the files that transformers reads a model, its tokenizer and its code from."""


def student_files(weights: StudentWeights) -> dict[str, str]:
    """The SHA-256 of each file of a student's folder, by its name (a second for 1.8 GB).

    Of packaged weights it is their one file. Empty for a hub id, whose files its commit says, and for what is not on
    this machine.
    """
    folder = Path(from_home(weights.model))
    if (packaged := PACKAGED.get(weights.model)) is not None:
        place = place_in_package(packaged.package, packaged.file_name)
        files = [] if place is None else [place]
    else:
        files = sorted(path for path in folder.iterdir() if path.suffix in OPENED) if folder.is_dir() else []
    return {path.name: _sha256(path, path.stat().st_size, path.stat().st_mtime_ns) for path in files if path.is_file()}


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What became of a student's files, one after the other: `config.json is another`, `vocab.txt is gone`."""
    return [
        f"{name} is {'gone' if name not in now else 'new' if name not in before else 'another'}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


@lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, changed_ns: int) -> str:
    """The hash of a file as it was when it had this size and this time."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
