"""What a student's base model is called elsewhere: an id and a revision, never a path."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from ...core.section import from_home
from ...core.student_settings import StudentWeights
from .hub import commit_of
from .packaged_weights import PACKAGED

_IN_A_CACHE = re.compile(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]([0-9a-f]+)")
"""Where a hub's library keeps what it has downloaded."""


@dataclass(frozen=True, slots=True)
class PublishedBase:
    """A base model as others can ask for it."""

    name: str
    """A hub id; of a folder that nobody gave one, the folder's own name."""
    revision: str | None = None
    """The commit, branch or tag, where it is known."""
    note: str = ""
    """What a reader should know of the weights that were trained on, in a sentence."""

    @property
    def full_name(self) -> str:
        """The name, and its revision behind an @ where it has one."""
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


def published_base(weights: StudentWeights) -> PublishedBase:
    """What others know a student's weights as.

    `published_as` says it; else it is a hub's id with the commit that was opened, or what packaged weights are a copy
    of. Of any other folder it is the folder's own name.
    """
    if weights.published_as is not None:
        name, _, revision = weights.published_as.partition("@")
        return PublishedBase(name, revision or None)
    packaged = PACKAGED.get(weights.model)
    if packaged is not None:
        return PublishedBase(packaged.published, note=f"The weights that were trained on were {packaged.note}.")
    folder = Path(from_home(weights.model))
    if not folder.is_dir():
        return PublishedBase(weights.model, weights.revision or commit_of(weights.model, None))
    if found := _IN_A_CACHE.search(str(folder.resolve())):
        return PublishedBase(f"{found[1]}/{found[2]}", found[3])
    return PublishedBase(
        without_place(str(folder.resolve())),
        note="The weights lay in a folder; `student.published_as` says which published model they are.",
    )


def without_place(name: str) -> str:
    """What names a model, without the folder that it lies in.

    Of a path that is its last part; anything else stays as it is.
    """
    is_path = name.startswith(("/", ".", "~", "\\")) or name.count("/") > 1 or "\\" in name
    return (PurePath(name.replace("\\", "/")).name or "model") if is_path else name
