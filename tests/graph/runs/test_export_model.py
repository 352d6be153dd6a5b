"""What is exported of an adapter's folder, without a whole run."""

import json
from pathlib import Path

from openmic.core.ids import derive_id
from openmic.graph.runs.export_model import Writing, export_model
from openmic.store import Adapter, Store
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.standalone import adapter_ref

from ..conftest import Prepare, Saves


def test_nothing_is_exported_of_an_adapter_s_folder_but_what_was_committed(
    prepare: Prepare, store: Store, tmp_path: Path
) -> None:
    prepare()
    ref = commit_adapter(Saves(), tmp_path / "adapters", 1, {"parent": 0}, carries={"prompts.json": "{}"})
    made = Adapter(
        id=derive_id("RUN1", "adapter", 1),
        run_id="RUN1",
        version=1,
        stage="imitation",
        round=0,
        base_model="tiny",
        uri=ref.uri,
        sha256=ref.sha256,
    )
    store.add(made)
    folder = Path(str(ref.uri))
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / "notes 🙂.txt").write_text("my password")
    (folder / "link").symlink_to(tmp_path / "nowhere")
    done = export_model(store, store.resolve_run("latest"), 1, "adapter", tmp_path / "out", Writing())
    committed = json.loads((folder / "manifest.json").read_text())["files"]
    assert set(committed) == {"adapter_model.safetensors", "prompts.json"}
    assert {path.name for path in done.path.iterdir()} == {*committed, "manifest.json", "README.md"}
    assert adapter_ref(done.path).version == 1
