"""Exports of a whole run, read again by what others read them with."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow.csv
import pytest

from openmic.store import Preference, RunExample, Store, Training, TrainingItem, Turn
from openmic.store.export import FILE_KINDS, FORMS, export_rows
from openmic.store.export.forms import COLUMNS
from openmic.store.tables.training import left_out_items

from ..whole_run import WholeRun
from .conftest import Openmic

Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Datasets keeps what it reads: here, for the time of one test."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def rows_of(run: WholeRun, form: Any) -> Rows:
    with Store.open_readonly(run.store) as store:
        return list(export_rows(store, store.resolve_run("latest"), form))


def by_split(rows: Rows) -> dict[str, Rows]:
    return {split: found for split in ("train", "dev", "test") if (found := [r for r in rows if r["split"] == split])}


def read_with_datasets(folder: Path) -> dict[str, Rows]:
    loaded = datasets.load_dataset(str(folder))
    return {str(split): [dict(row) for row in loaded[split]] for split in loaded}


def read_jsonl(folder: Path) -> dict[str, Rows]:
    files = {path.stem: path.read_text(encoding="utf-8").split("\n")[:-1] for path in folder.glob("*.jsonl")}
    return {split: [json.loads(line) for line in lines] for split, lines in files.items()}


def read_csv(folder: Path) -> dict[str, Rows]:
    """As the data card says: quotes or nothing at all tell an empty text from none."""
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    texts = {
        column.name: pyarrow.string() for columns in COLUMNS.values() for column in columns if column.kind == "text"
    }
    converting = pyarrow.csv.ConvertOptions(
        strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""], column_types=texts
    )
    return {
        path.stem: pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=converting).to_pylist()
        for path in folder.glob("*.csv")
    }


def read_parquet(folder: Path) -> dict[str, Rows]:
    return {path.stem: pyarrow.parquet.read_table(path).to_pylist() for path in folder.glob("*.parquet")}


def read_folder(folder: Path) -> dict[str, Rows]:
    loaded = datasets.load_from_disk(str(folder))
    return {str(split): [dict(row) for row in loaded[split]] for split in loaded}


READERS: dict[str, Callable[[Path], dict[str, Rows]]] = {
    "jsonl": read_jsonl,
    "csv": read_csv,
    "parquet": read_parquet,
    "datasets": read_folder,
}


def with_lists(form: Any, read: dict[str, Rows]) -> dict[str, Rows]:
    """What CSV has as text, as the lists it stands for."""
    lists = [column.name for column in COLUMNS[form] if column.kind == "messages"]
    for row in (row for rows in read.values() for row in rows):
        row.update({name: json.loads(row[name]) for name in lists if isinstance(row[name], str)})
    return read


@pytest.mark.parametrize("kind", FILE_KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_again_is_what_was_exported(
    of_run: Openmic, run: WholeRun, tmp_path: Path, form: Any, kind: str
) -> None:
    folder = tmp_path / "out"
    asked = ("--format", form, "--to", kind, "--split", "all", "--json")
    outcome = of_run("transcripts", "export", "latest", str(folder), *asked)
    assert outcome.code == 0, outcome.err
    wanted = by_split(rows_of(run, form))
    assert json.loads(outcome.out)["rows"] == {split: len(rows) for split, rows in wanted.items()}
    assert with_lists(form, READERS[kind](folder)) == wanted
    if kind in {"jsonl", "parquet"}:
        assert read_with_datasets(folder) == wanted
    assert not list(tmp_path.glob(".*"))


def test_preferences_are_the_rows_of_the_store_with_the_prompt_the_student_had(run: WholeRun) -> None:
    rows = rows_of(run, "preference")
    with Store.open_readonly(run.store) as store:
        stored = {row.id: row for row in store.select(Preference)}
        assert {row["preference_id"] for row in rows} == set(stored)
        for row in rows:
            preference = stored[row["preference_id"]]
            chosen, rejected = (
                store.get(Turn, turn) for turn in (preference.chosen_turn_id, preference.rejected_turn_id)
            )
            assert chosen is not None
            assert rejected is not None
            assert row["prompt"] == [
                {"role": "system", "content": "Make it funny."},
                {"role": "user", "content": row["input"]},
            ]
            assert row["chosen"] == [{"role": "assistant", "content": chosen.content}]
            assert row["rejected"] == [{"role": "assistant", "content": rejected.content}]
    unpaired = rows_of(run, "kto")
    assert sum(row["label"] for row in unpaired) == len(rows) == len(unpaired) / 2
    texts = [row["turn_id"] for row in rows_of(run, "sft")]
    assert len(set(texts)) == len(texts)
    assert {row["chosen_turn_id"] for row in rows} <= set(texts)


def test_what_an_adapter_learned_from_can_be_told_from_the_rest(of_run: Openmic, run: WholeRun, tmp_path: Path) -> None:
    with Store.open_readonly(run.store) as store:
        trainings = store.select(Training)
        left_out = {name for training in trainings for name in left_out_items(training)}
        versions = {training.id: training.adapter_version for training in trainings}
        items = [item for item in store.select(TrainingItem) if item.id not in left_out]
    preferences = {item.preference_id: versions[item.training_id] for item in items if item.preference_id}
    turns = {item.turn_id: versions[item.training_id] for item in items if item.turn_id}
    rows = rows_of(run, "preference")
    assert {row["preference_id"]: row["learned_by"] for row in rows if row["learned_by"]} == preferences
    chosen = {row["chosen_turn_id"]: row["learned_by"] for row in rows if row["learned_by"]}
    texts = rows_of(run, "sft")
    assert {row["turn_id"]: row["learned_by"] for row in texts if row["learned_by"]} == chosen | turns
    path = tmp_path / "kto.jsonl"
    assert of_run("transcripts", "export", "latest", str(path), "--format", "kto", "--trained", "--json").code == 0
    exported = read_jsonl(tmp_path)["kto"]
    assert {row["preference_id"] for row in exported} == set(preferences)
    assert "learned from by an adapter" in (tmp_path / "kto.md").read_text(encoding="utf-8")


def test_held_out_inputs_are_left_out_unless_they_are_asked_for(of_run: Openmic, run: WholeRun, tmp_path: Path) -> None:
    folder = tmp_path / "sft"
    assert of_run("transcripts", "export", "latest", str(folder), "--format", "sft").code == 0
    with Store.open_readonly(run.store) as store:
        held_out = {row.example_id for row in store.select(RunExample, split=["dev", "test"])}
    assert held_out & {row["example_id"] for row in rows_of(run, "sft")}
    [rows] = read_jsonl(folder).values()
    assert not held_out & {row["example_id"] for row in rows}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "**Simulated.**" in card
    assert "Held out" not in card
    assert run.status["run"] in card


def test_a_file_holds_what_the_filters_let_through(of_run: Openmic, tmp_path: Path) -> None:
    path = tmp_path / "evaluated.jsonl"
    asked = ("--format", "transcript", "--stage", "evaluate", "--adapter", "2", "--split", "test")
    assert of_run("transcripts", "export", "latest", str(path), *asked).code == 0
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {(row["stage"], row["split"]) for row in rows} == {("evaluate", "test")}
    assert {row["adapter_version"] for row in rows} == {2, None}
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "adapter_version 2" in card
    assert "**Held out.**" in card


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("there",), "is there already"),
        (("rows.csv", "--to", "parquet"), "has the suffix .csv and --to says parquet"),
        (("rows.xlsx",), "has the suffix .xlsx"),
        (("rows", "--round", "9"), "has nothing for --format preference"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    of_run: Openmic, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    name, *more = arguments
    outcome = of_run("transcripts", "export", "latest", str(tmp_path / name), *more)
    assert outcome.code == 2
    assert said in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_without_the_package_datasets_folders_are_refused(
    of_run: Openmic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    outcome = of_run("transcripts", "export", "latest", str(tmp_path / "out"), "--to", "datasets")
    assert outcome.code == 2
    assert "openmic[datasets]" in outcome.err
