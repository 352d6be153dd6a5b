"""Which files a student's weights are, so that a run never goes on with others than those it began with."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ...core.errors import StudentChangedError
from ...core.section import from_home
from ...core.student_settings import StudentWeights
from .packaged_weights import PACKAGED, place_in_package

OPENED = frozenset({".safetensors", ".bin", ".json", ".model", ".txt", ".jinja", ".py", ".tiktoken"})
"""Endings of the files that transformers reads a model, its tokenizer and its code from."""


def student_files(weights: StudentWeights) -> dict[str, str]:
    """The SHA-256 of each file that a student is read from, by its place in the student's folder.

    It takes 0.3 s for the packaged 98 MB on a busy core, and under a millisecond again in the same process. Of
    packaged weights it is their one file. Empty for a hub id, whose files its commit says, and for what is not on this
    machine.
    """
    folder = Path(from_home(weights.model))
    if (packaged := PACKAGED.get(weights.model)) is not None:
        place = place_in_package(packaged.package, packaged.file_name)
        return {} if place is None or not place.is_file() else {place.name: _hash_of(place)}
    if not folder.is_dir():
        return {}
    files = [path for path in folder.iterdir() if path.suffix in OPENED]
    files += (folder / "additional_chat_templates").glob("*.jinja")
    for index in folder.glob("*.index.json"):
        files += (folder / name for name in _named_in(index))
    return {os.path.relpath(path, folder): _hash_of(path) for path in sorted(set(files)) if path.is_file()}


def _named_in(index: Path) -> set[str]:
    """The files, elsewhere maybe, that an index of weights names; none where it cannot be read."""
    try:
        named = json.loads(index.read_bytes())["weight_map"].values()
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return set()
    return {name for name in named if isinstance(name, str)}


def files_for(weights: StudentWeights, source: StudentWeights, files: dict[str, str]) -> dict[str, str]:
    """The files of a student that works with what was made of another's weights.

    The same student is the same files: those that the source began with, whatever lies in its folder by now.

    Args:
        weights: The student's.
        source: Those that it goes back to.
        files: What the source began with, as `student_files` gave them.
    """
    return files if weights.model == source.model else student_files(weights)


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """The files that a run's student had when it began, for whatever loads its weights, in whichever process."""

    run: str = ""
    """The run's id."""
    files: Mapping[str, str] = field(default_factory=dict)
    """As `student_files` gave them. Empty: whatever is there will do."""

    def check(self, weights: StudentWeights) -> None:
        """Refuse weights that were changed since.

        Raises:
            StudentChangedError: a file is another, is gone or is new.
        """
        if self.files and (changed := changed_files(self.files, student_files(weights))):
            raise StudentChangedError(
                f"the weights of student.model {weights.model!r} are not those that run {self.run} began with: "
                f"{', '.join(changed[:3])}{' and more' if len(changed) > 3 else ''}; put them back, or start a new "
                f"run, which takes over what is unchanged (openmic run CONFIG --from {self.run})"
            )

    @contextmanager
    def kept(self, weights: StudentWeights) -> Iterator[None]:
        """Check them before they are loaded in the block, and after, when they are only looked at.

        Raises:
            StudentChangedError: as `check`.
        """
        self.check(weights)
        yield
        self.check(weights)


ANY_FILES = KnownFiles()
"""Of a student that no run began with."""


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What became of a student's files, one after the other: `config.json is another`, `vocab.txt is gone`."""
    return [
        f"{name} is {'gone' if name not in now else 'new' if name not in before else 'another'}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]


def _hash_of(path: Path) -> str:
    seen = path.stat()
    return _sha256(path, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


@lru_cache(maxsize=1024)
def _sha256(path: Path, size: int, changed_ns: int, touched_ns: int) -> str:
    """The hash of a file as it was at this size and these times; only the system sets the second."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
