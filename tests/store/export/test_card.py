from pathlib import Path

from openmic.core.records import Split
from openmic.store import Run, RunExample, Store
from openmic.store.export import export

from ...in_hand import in_hand
from ..rows import talk_rows


def test_a_card_says_where_the_run_stands(store: Store, tmp_path: Path) -> None:
    store.add(*talk_rows(), RunExample(run_id="RUN1", example_id="e1", position=0, split=Split.TRAIN))
    store.update(Run, "RUN1", status="running", home=str(tmp_path), cast={"simulated": False, "critic": "c"})

    def said(name: str) -> str:
        export(store, store.resolve_run("RUN1"), tmp_path / f"{name}.jsonl", "transcript", "jsonl")
        return (tmp_path / f"{name}.md").read_text(encoding="utf-8")

    assert ", died, begun " in said("later")
    with in_hand(store, "RUN1"):
        assert ", running, begun " in said("meanwhile")
