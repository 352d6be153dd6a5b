"""Pairs of other people's making: read in whatever form they have, refused by their row, learned from as they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import ConfigError, InputError
from openmic.core.records import Split
from openmic.graph.runs.given_pairs import base_values, read_pairs, train_on_pairs
from openmic.store import Adapter, Dialogue, Preference, PromptRow, Run, RunExample, Store, Training, TrainingItem, Turn

from ...whole_run import openmic_here
from ..conftest import Heard, config_of

USER = {"role": "user", "content": "Where is it?"}
SYSTEM = {"role": "system", "content": "Be kind."}
GOOD, BAD = ({"role": "assistant", "content": text} for text in ("It is here, I am sorry.", "Here."))


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Where is it?", "chosen": GOOD["content"], "rejected": BAD["content"]},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD], "score": 3},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": None, "chosen": [USER, GOOD], "rejected": [USER, BAD]},
    ],
)
def test_texts_and_conversations(tmp_path: Path, row: dict[str, Any]) -> None:
    [pair] = read_pairs(written(tmp_path / "p.jsonl", [row]))
    assert [(message.role, message.content) for message in pair.messages] == [("user", "Where is it?")]
    assert pair.completions == (GOOD["content"], BAD["content"])


def test_tables(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"prompt": f"Where is {n}?", "chosen": "It is\nhere.", "rejected": "No 🙂"} for n in range(3)]
    (tmp_path / "p.csv").write_text('prompt,chosen,rejected\n"Where, is it?","It is\nhere.",No\n', encoding="utf-8")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "p.parquet")
    assert read_pairs(tmp_path / "p.csv")[0].completions == ("It is\nhere.", "No")
    assert [pair.completions[1] for pair in read_pairs(tmp_path / "p.parquet")] == ["No 🙂"] * 3


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "line 2: chosen and rejected are the same text"),
        ({"prompt": "a", "chosen": "b", "rejected": " "}, "line 2: chosen or rejected is empty"),
        ({"prompt": "a", "chosen": "b"}, "line 2: "),
        ({"prompt": 3, "chosen": "b", "rejected": "c"}, "line 2: "),
        ({"chosen": "b", "rejected": "c"}, "line 2: "),
        ({"prompt": "a", "chosen": float("nan"), "rejected": "c"}, "line 2: "),
        ({"prompt": "a\0", "chosen": "b", "rejected": "c"}, "there is a NUL character"),
    ],
)
def test_a_row_that_is_no_pair_is_named(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    with pytest.raises(InputError) as refused:
        read_pairs(written(tmp_path / "p.jsonl", [good, row, row]))
    assert told in str(refused.value)
    assert "(and 1 more rows)" in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.jsonl").write_text(text)
    with pytest.raises(InputError, match="is empty"):
        read_pairs(tmp_path / "p.jsonl")


@pytest.mark.parametrize("objective", ["sft", "brio", "brio-dpo", "opd"])
def test_an_objective_that_needs_more_than_pairs(tmp_path: Path, objective: str) -> None:
    config = config_of(training={"objective": objective})
    with pytest.raises(ConfigError, match="needs more than pairs; take dpo, simpo, kto, sd"):
        train_on_pairs(config, tmp_path / "none.jsonl", [], Heard())


def test_pairs_are_taken_whatever_their_lengths(tmp_path: Path) -> None:
    assert config_of(preferences=base_values(tmp_path / "p.jsonl")["preferences"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_of_its_own_is_made_of_them(ray_running: None, tiny_causal: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": [SYSTEM, USER | {"content": f"Where is {n}?"}], "chosen": [GOOD], "rejected": [BAD]}
        for n in range(6)
    ]
    rows += [rows[0], rows[0] | {"rejected": [BAD | {"content": "Somewhere else, and that is a long way off."}]}]
    written(tmp_path / "pairs.jsonl", rows)
    small = ["training.epochs=1", "training.batch_size=4", f"student.model={tiny_causal}", "student.device=cpu"]
    done = openmic_here(
        *("train", "--pairs", "pairs.jsonl", "--objective", "kto", "--json"),
        *(part for line in small for part in ("--set", line)),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["kind"], status["source_run"], status["status"]) == ("train", None, "finished")
    assert status["funnel"]["preferences"]["given"] == {
        **dict.fromkeys(("outside_length", "too_stale", "too_long", "switched_off"), 0),
        "made": 7,
        "trained_on": 7,
    }
    with Store.open_readonly(str(tmp_path / "openmic-data" / "openmic.db")) as store:
        [run] = store.select(Run)
        assert run.cast == {"simulated": False, "judge_is_critic": False}
        assert run.task_file["student"]["system"] == "Be kind."
        assert store.count(Dialogue) == store.count(RunExample, split=Split.TRAIN) == 6
        assert (store.count(Turn), store.count(Preference), store.count(TrainingItem)) == (13, 7, 7)
        asked = {len(row.messages) for row in store.select(PromptRow)}
        assert asked == {2}
        [training] = store.select(Training)
        assert (training.objective, training.parent_version) == ("kto", 0)
        adapters = store.select(Adapter, order_by="version")
        assert [(row.version, row.status) for row in adapters] == [(0, "promoted"), (1, "promoted")]
    exported = openmic_here("transcripts", "export", "latest", "out.jsonl", "--trained", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 7
    again = openmic_here(
        *("train", "latest", "--objective", "simpo", "--from-version", "1", "--json"),
        *("--set", "training.epochs=1"),
        cwd=tmp_path,
    )
    assert again.returncode == 0, again.stderr
