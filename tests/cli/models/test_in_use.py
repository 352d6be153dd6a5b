"""Whoever reads what a run made says so, for as long: then it is not pruned."""

from pathlib import Path

import pytest

from openmic.agents.tasks.task import load_task
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.store import Adapter, Store
from openmic.store.liveness import is_in_use

from ...store.rows import run
from ..conftest import Openmic


@pytest.mark.parametrize(
    ("command", "reads"),
    [
        (("chat", "--run", "RUN1", "The kettle broke."), "openmic.training.engines.choose.make_engine"),
        (("serve", "RUN1", "--port", "0"), "openmic.graph.serving.server.make_engine"),
        (("model", "export", "RUN1:v0", "out", "--to", "adapter"), "openmic.graph.runs.export_model.adapter_of"),
    ],
)
def test_a_run_is_in_use_while_its_student_is_read(
    openmic: Openmic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], reads: str
) -> None:
    (tmp_path / "RUN1").mkdir()
    task = load_task("humor")
    config = RunConfig.model_validate({"inputs": {"path": "inputs.txt"}}).model_dump(mode="json")
    with Store.open("openmic.db") as store:
        store.add(run(config=config, task_hash=task.hash, home=str(tmp_path / "RUN1"), status="finished"))
        store.add(Adapter(id="a", run_id="RUN1", version=0, stage="base", round=0, base_model="m", status="promoted"))
        seen = []

        def read(*_: object, **__: object) -> None:
            seen.append(is_in_use(store, store.resolve_run("RUN1")))
            raise ConfigError("that is all")

        monkeypatch.setattr(reads, read)
        done = openmic(*command, "--store", "openmic.db")
        assert (done.code, seen) == (2, [True]), done.err
        assert not is_in_use(store, store.resolve_run("RUN1"))
    assert list((tmp_path / "RUN1").iterdir()) == []
