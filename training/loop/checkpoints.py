"""Checkpoints: where a training stood, kept so that one whose process was killed goes on and does not begin anew.

A checkpoint is one safetensors file under the root of the run's adapters, where another node finds it too; the facts
that are no tensors are in its metadata as JSON, nothing is pickled. Each takes the place of the one before in one step,
and is removed when the adapter is committed. It belongs to one job, and says whether it is as it was written.

What a checkpoint holds is the loop's business (`training.loop.loop`) and the trainer's; this file only keeps it.
"""

import hashlib
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...core.errors import AdapterError
from ...core.files.durable import write_through
from ...core.files.private import make_private, private_folder
from ..adapters.storage import folder_of, is_remote, join_uri, read, remove, upload
from .job import TrainingJob

if TYPE_CHECKING:  # the driver removes checkpoints, and has no torch
    from torch import Tensor

logger = logging.getLogger(__name__)
FORMAT = 1
"""Checkpoints that another version of openmic wrote in another way are another job's."""
FILE = "checkpoint.safetensors"


class Snapshot(NamedTuple):
    """Where a training stands."""

    facts: dict[str, Any]
    """Whatever JSON can hold."""
    tensors: "dict[str, Tensor]"
    """On the CPU. None shares memory with another."""


class Checkpoints:
    """The checkpoint of one job, the newest alone."""

    def __init__(self, job: TrainingJob, *, workers: int) -> None:
        """`workers` is how many processes train together: random numbers differ with it."""
        self._key = f"{FORMAT}-{workers}-{job.key}"
        self._uri = join_uri(checkpoint_uri(job.adapters, job.version), FILE)

    def save(self, snapshot: Snapshot) -> None:
        """Put a snapshot in the place of the one before.

        One that cannot be written costs no more than the work since the last one, so it is a warning and no error.
        """
        from safetensors.torch import save_file

        facts = json.dumps(snapshot.facts)
        metadata = {"key": self._key, "facts": facts, "digest": _digest(facts, snapshot.tensors)}
        remote = is_remote(self._uri)
        try:
            folder = None if remote else folder_of(self._uri).parent
            if folder is not None:
                private_folder(folder)
            with tempfile.TemporaryDirectory(prefix=".checkpoint.", dir=folder) as work:
                file = Path(work, FILE)
                save_file(snapshot.tensors, file, metadata=metadata)
                make_private(Path(work))
                if remote:
                    upload(file, self._uri)
                else:
                    write_through(Path(work))
                    file.replace(self._uri)
        except (OSError, AdapterError) as error:
            logger.warning("checkpoint %s was not written, the training goes on: %s", self._uri, error)

    def load(self) -> Snapshot | None:
        """The snapshot that was saved last. None where there is none, or it is another job's, or it is broken."""
        from safetensors import SafetensorError, safe_open

        try:
            with _local_copy(self._uri) as file:
                if file is None:
                    return None
                with safe_open(file, framework="pt") as stored:
                    metadata = stored.metadata() or {}
                    if metadata.get("key") != self._key:
                        return None
                    tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
            facts = metadata.get("facts", "")
            if metadata.get("digest") == _digest(facts, tensors):
                return Snapshot(json.loads(facts), tensors)
            reason = "it was altered since it was written"
        except (OSError, SafetensorError, AdapterError) as error:
            reason = str(error)
        logger.warning("checkpoint %s is ignored and the training begins anew: %s", self._uri, reason)
        return None


def checkpoint_uri(root: str, version: int) -> str:
    """Where the checkpoint of the training that makes a version lies."""
    return join_uri(root, "checkpoints", f"v{version:06d}")


def remove_checkpoint(root: str, version: int) -> None:
    """Remove the checkpoint of a training that is done, if there is one. Storage that cannot do it is a warning."""
    uri = checkpoint_uri(root, version)
    try:
        remove(uri)
        if not is_remote(uri):
            folder_of(uri).parent.rmdir()
    except FileNotFoundError:
        return
    except AdapterError as error:
        logger.warning("%s; it is no longer needed", error)
    except OSError:
        return  # another training's checkpoint is beside it


@contextmanager
def _local_copy(uri: str) -> Iterator[Path | None]:
    if not is_remote(uri):
        yield folder_of(uri) if folder_of(uri).is_file() else None
        return
    data = read(uri)
    if data is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, FILE).write_bytes(data)
        yield Path(folder, FILE)


def _digest(facts: str, tensors: "dict[str, Tensor]") -> str:
    import torch

    digest = hashlib.sha256(facts.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
