"""Which adapters are made anew, and what is said of those that another run made. Nothing is trained."""

from pathlib import Path

import pytest

from openmic.core.errors import AdapterError, ConfigError
from openmic.graph.context.progress import Silent
from openmic.graph.runs.again import train_again
from openmic.store import Adapter, Run, Store
from openmic.training.adapters.adapters import MANIFEST, file_sha256

from ...store import rows
from ..conftest import config_of, run_row


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
