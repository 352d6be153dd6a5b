import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

from openmic.core.errors import AdapterError
from openmic.core.records import AdapterRef
from openmic.training.adapters import storage
from openmic.training.loop.checkpoints import FILE, Checkpoints, Snapshot, checkpoint_uri, remove_checkpoint
from openmic.training.loop.job import TrainingJob

from ..jobs import job_of
from ..objectives.own_objectives import Margin

SNAPSHOT = Snapshot(
    {"curve": [{"loss": 0.1 + 0.2}], "none": None},
    {"adapter.a": torch.randn(3, 2), "random.0.cpu": torch.get_rng_state(), "step": torch.tensor(3.0)},
)


@pytest.fixture
def memory() -> Iterator[str]:
    """Object storage, which here lies in this process's memory."""
    files = fsspec.filesystem("memory")
    yield "memory://checkpoints/RUN1/adapters"
    if files.exists("/checkpoints"):
        files.rm("/checkpoints", recursive=True)


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, memory: str, tmp_path: Path) -> str:
    return memory if request.param == "memory" else str(tmp_path)


@pytest.fixture
def job(root: str) -> TrainingJob:
    return replace(job_of(Path("student"), Path()), adapters=root)


def same(found: Snapshot | None, expected: Snapshot) -> bool:
    return (
        found is not None
        and found.facts == expected.facts
        and found.tensors.keys() == expected.tensors.keys()
        and all(torch.equal(value, expected.tensors[name]) for name, value in found.tensors.items())
    )


def test_what_was_saved_last_comes_back(job: TrainingJob) -> None:
    assert Checkpoints(job, workers=1).load() is None
    Checkpoints(job, workers=1).save(Snapshot({}, {}))
    Checkpoints(job, workers=1).save(SNAPSHOT)
    assert same(Checkpoints(job, workers=1).load(), SNAPSHOT)


def test_there_is_one_file_and_it_goes_when_it_is_removed(job: TrainingJob, root: str) -> None:
    for version in (1, 2):
        for _ in range(2):
            Checkpoints(replace(job, version=version), workers=1).save(SNAPSHOT)
    files, path = fsspec.core.url_to_fs(root)
    assert [name.rpartition("checkpoints/")[2] for name in sorted(files.find(path))] == [
        f"v00000{version}/{FILE}" for version in (1, 2)
    ]
    remove_checkpoint(root, 1)
    assert Checkpoints(job, workers=1).load() is None
    assert Checkpoints(replace(job, version=2), workers=1).load() is not None
    remove_checkpoint(root, 2)
    remove_checkpoint(root, 2)
    assert files.find(path) == []


@pytest.mark.parametrize(
    "other",
    [
        lambda job: replace(job, seed=2),
        lambda job: replace(job, settings=job.settings.model_copy(update={"beta": 0.2})),
        lambda job: replace(job, phases=(job.phases[0]._replace(examples=job.phases[0].examples[:4]),)),
        lambda job: replace(job, parent=AdapterRef(3, "/elsewhere", "abc")),
        lambda job: replace(job, lora=job.lora.model_copy(update={"r": 3})),
    ],
)
def test_another_jobs_checkpoint_is_ignored(
    job: TrainingJob, other: Callable[[TrainingJob], TrainingJob], caplog: pytest.LogCaptureFixture
) -> None:
    Checkpoints(job, workers=1).save(SNAPSHOT)
    assert Checkpoints(other(job), workers=1).load() is None
    assert Checkpoints(job, workers=2).load() is None
    assert caplog.records == []


def test_where_things_lie_is_no_part_of_a_job(job: TrainingJob) -> None:
    parents = [AdapterRef(3, uri, "abc") for uri in ("/here", "/there")]
    keys = {replace(job, parent=parent, adapters=str(parent.uri)).key for parent in parents}
    assert len(keys) == 1


class Holding:
    """What somebody's objective may hold."""

    def __init__(self, **held: Any) -> None:
        self.__dict__ |= held


def test_an_objective_is_known_again_in_another_process_by_what_it_holds(job: TrainingJob) -> None:
    def key(**held: Any) -> str:
        given = Margin()
        given.__dict__ |= held
        kept.append(given)  # so that none lies where another lay
        return replace(job, phases=(job.phases[0]._replace(given=given),)).key

    kept: list[Margin] = []
    assert key() == key() != key(margin=2.0)
    assert key(helper=object()) == key(helper=object()) != key()
    assert key(helper=Holding(weight=1)) == key(helper=Holding(weight=1)) != key(helper=Holding(weight=2))
    assert key(by=[{"a": Holding(n=(1, len))}]) == key(by=[{"a": Holding(n=(1, len))}]) != key(by=[{"a": Holding()}])
    # Texts are in another order in each process; these numbers are in that in which they were put in.
    assert key(words={0, 8}) == key(words={8, 0}) != key(words={0})
    itself = Holding()
    itself.me = itself  # type: ignore[attr-defined]  # a circle
    assert key(helper=itself) == key(helper=itself)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"no safetensors",
        lambda data: data[:-1],
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data.replace(b"curve", b"curse"),
    ],
    ids=["empty", "something else", "cut off", "a bit of a tensor", "a fact"],
)
def test_a_broken_checkpoint_is_ignored_with_a_warning(
    job: TrainingJob, root: str, spoil: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    one = Checkpoints(job, workers=1)
    one.save(SNAPSHOT)
    files, path = fsspec.core.url_to_fs(f"{checkpoint_uri(root, 1)}/{FILE}")
    files.pipe_file(path, spoil(files.cat_file(path)))
    with caplog.at_level(logging.WARNING):
        assert one.load() is None
    assert "is ignored and the training begins anew" in caplog.text
    one.save(SNAPSHOT)
    assert same(one.load(), SNAPSHOT)


def test_storage_that_fails_costs_a_warning_and_no_training(
    job: TrainingJob, root: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("no space left")

    one = Checkpoints(job, workers=1)
    one.save(SNAPSHOT)
    if root.startswith("memory"):
        monkeypatch.setattr(storage, "_open", broken)
    else:
        monkeypatch.setattr(tempfile, "TemporaryDirectory", broken)
        monkeypatch.setattr(shutil, "rmtree", broken)
    one.save(SNAPSHOT)
    assert "was not written, the training goes on" in caplog.text
    remove_checkpoint(root, 1)
    assert "could not be removed" in caplog.text
    if root.startswith("memory"):
        assert one.load() is None
        assert "is ignored and the training begins anew" in caplog.text
        with pytest.raises(AdapterError, match="no space left"):
            storage.remove(root)
