from pathlib import Path

from openmic.agents.tasks.task import load_task
from openmic.core.config import RunConfig
from openmic.graph.runs.provenance import run_record

from ..conftest import config_of

ADDRESS = "postgresql://me:s3cret@host/db"


def test_a_run_is_recorded_without_the_password_of_its_store(tmp_path: Path) -> None:
    config = config_of(store=ADDRESS)
    arguments = ["run", "x.yaml", "--set", f"store={ADDRESS}"]
    row = run_record("RUN1", config, load_task("humor"), simulated=True, home=tmp_path, arguments=arguments)
    assert "s3cret" not in row.model_dump_json()
    assert row.arguments == ["run", "x.yaml", "--set", "store=postgresql://me@host/db"]
    assert RunConfig.model_validate(row.config).store == "postgresql://me@host/db"
    assert (
        row.config_hash
        == run_record(
            "RUN2",
            config_of(store="postgresql://me@host/db"),
            load_task("humor"),
            simulated=True,
            home=tmp_path,
            arguments=[],
        ).config_hash
    )
