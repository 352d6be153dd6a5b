"""Which adapters are made anew, and where; what is said of those that another run made. Nothing is trained."""

from pathlib import Path
from typing import Any, cast

import pytest

from openmic.core.errors import AdapterError, ConfigError, StoreError
from openmic.core.ids import derive_id
from openmic.core.records import AdapterRef, TrainingMetrics
from openmic.graph.context.progress import Silent
from openmic.graph.context.run_context import RunContext
from openmic.graph.runs.again import Remade, make_anew, train_again
from openmic.graph.stages import collect as collecting
from openmic.graph.stages.fine_tune import fine_tune_on_feedback
from openmic.store import Adapter, Run, Store
from openmic.training.adapters.adapters import MANIFEST, file_sha256, verify_adapter
from openmic.training.trainer.trainer import Trainer

from ...store import rows
from ..conftest import Prepare, ScriptedPool, committed, config_of, run_row
from ..stages.test_fine_tune import DRAFTS, EXAMPLES


@pytest.fixture
def taker(store: Store, tmp_path: Path) -> Run:
    """A run that took v1 over from RUN1, and made nothing itself."""
    store.add(run_row(config_of(), tmp_path / "RUN1"), run_row(config_of(), tmp_path / "RUN2", id="RUN2"))
    store.add(
        rows.training(id="t1", adapter_version=1, parent_version=0),
        rows.training(id="t2", run_id="RUN2", adapter_version=1, parent_version=0, metrics={"taken_from": "RUN1"}),
        *(adapter(run, training, tmp_path / "v1") for run, training in (("RUN1", "t1"), ("RUN2", "t2"))),
    )
    return store.resolve_run("RUN2")


def adapter(run: str, training: str, folder: Path) -> Adapter:
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_text('{"version": 1, "files": {}}')
    return Adapter(
        id=f"{run}a", run_id=run, version=1, stage="imitation", round=0, base_model="tiny", status="promoted",
        uri=str(folder), sha256=file_sha256(folder / MANIFEST), training_id=training,
    )  # fmt: skip


def test_what_another_run_made_is_named_where_it_is_lost(store: Store, taker: Run, tmp_path: Path) -> None:
    assert train_again(store, taker, None, Silent()) == []
    (tmp_path / "v1" / MANIFEST).unlink()
    lost = "RUN2 works with adapters that are missing or altered: v1 of run RUN1"
    with pytest.raises(AdapterError, match=f"{lost}, where `openmic train --again RUN1` makes it anew"):
        train_again(store, taker, None, Silent())
    with pytest.raises(ConfigError, match=r"v1 was made by run RUN1: `openmic train --again RUN1`"):
        train_again(store, taker, 1, Silent())
    with pytest.raises(ConfigError, match="RUN2 made no adapter v0; it made none"):
        train_again(store, taker, 0, Silent())


def test_a_run_that_is_gone_makes_nothing_anew(store: Store, taker: Run, tmp_path: Path) -> None:
    (tmp_path / "v1" / MANIFEST).unlink()
    with store.writing_alone(), store.engine.begin() as connection:
        for table in ("adapter", "training", "run"):
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE {'id' if table == 'run' else 'run_id'} = 'RUN1'")
    with pytest.raises(AdapterError, match="v1 of run RUN1, which is not in the store any more"):
        train_again(store, taker, None, Silent())


class Commits:
    """A trainer that commits at once."""

    def __init__(self) -> None:
        self.places: list[str] = []

    async def train(self, job: Any, _: object) -> tuple[AdapterRef, TrainingMetrics]:
        self.places.append(job.adapters)
        return committed(job), TrainingMetrics(1, 4, 1, 1.0, 0.5)


def test_a_process_that_was_killed_between_its_records_is_gone_on_from(prepare: Prepare, store: Store) -> None:
    settings: dict[str, Any] = {"candidates": 2, "max_revisions": 0, "teacher_fallback": False, "concurrency": 1}
    stage, trainer = prepare(EXAMPLES, dialogue=settings), Commits()
    weights = "adapter_model.safetensors"

    def v1(run: str) -> Adapter:
        return store.select(Adapter, run_id=run, version=1)[0]

    def file_of(row: Adapter) -> Path:
        return Path(store.located(str(row.uri)), weights)

    async def act(context: RunContext) -> list[Remade]:
        context.trainer = cast(Trainer, trainer)
        base = derive_id("RUN1", "adapter", 0)
        store.add(Adapter(id=base, run_id="RUN1", version=0, stage="base", round=0, base_model="t", status="promoted"))
        await collecting.collect(context, 1)
        await fine_tune_on_feedback(context, 1, 0)
        store.add(run_row(context.config, Path(context.run.home), id="RUN2", kind="train", source_run_id="RUN1"))
        store.add(Adapter(**v1("RUN1").model_dump() | {"id": "inherited", "run_id": "RUN2"}))
        file_of(v1("RUN1")).write_bytes(b"altered")
        before = store.select(Adapter, order_by="id")

        with store.writing_alone(), store.engine.begin() as connection:  # what ends a process there, ends it for good
            connection.exec_driver_sql(
                "CREATE TRIGGER end_here BEFORE UPDATE ON adapter WHEN OLD.run_id = 'RUN2' "
                "BEGIN SELECT RAISE(ABORT, 'ended here'); END"
            )
        with pytest.raises(StoreError, match="ended here"):
            await make_anew(context, v1("RUN1"))
        assert store.select(Adapter, order_by="id") == before
        with store.writing_alone(), store.engine.begin() as connection:
            connection.exec_driver_sql("DROP TRIGGER end_here")

        made = [await make_anew(context, v1("RUN1"))]
        file_of(v1("RUN1")).write_bytes(b"altered, too")
        return [*made, await make_anew(context, v1("RUN1"))]

    first, second = stage.play(ScriptedPool(DRAFTS), act)
    assert (first.version, first.same, second.same) == (1, True, True)
    assert len(trainer.places) == len(set(trainer.places)) == 3
    assert second.place != first.place
    for row in (v1("RUN1"), v1("RUN2")):
        verify_adapter(AdapterRef(1, store.located(str(row.uri)), row.sha256))
    assert Path(trainer.places[0], "v000001", weights).read_bytes() == b"altered"
    assert Path(first.place, weights).read_bytes() == b"altered, too"
