"""Hugging Face's datasets, in folders, as inputs and as demonstrations."""

import json
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import InputSettings
from openmic.core.config_file import load_config
from openmic.core.errors import InputError
from openmic.core.inputs import read_demonstrations, read_inputs
from openmic.core.row_files import hub_id

ROWS: list[dict[str, Any]] = [
    {"question": f"Who left at {n}?", "context": "The bus left.\nNobody saw it.", "id": n, "answer": [f"Bus {n}."]}
    for n in range(30)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of two splits, one of a single one, and one of plain files."""
    import datasets

    root = tmp_path_factory.mktemp("datasets")
    one = datasets.Dataset.from_list(ROWS)
    one.save_to_disk(str(root / "one"))
    datasets.DatasetDict({"train": one, "test": one.select(range(5))}).save_to_disk(str(root / "two"))
    datasets.DatasetDict({"train": one}).save_to_disk(str(root / "single"))
    (root / "files").mkdir()
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    (root / "files" / "train.jsonl").write_text(lines, encoding="utf-8")
    return root


def read(path: Path, **settings: Any) -> Any:
    return read_inputs(InputSettings(path=path, fields=["question", "context"], **settings)).examples


@pytest.mark.parametrize(("name", "split"), [("one", None), ("two", "train"), ("single", None), ("files", "train")])
def test_inputs_of_several_fields_with_their_ids(folder: Path, name: str, split: str | None) -> None:
    found = read(folder / name, split=split, id_field="id", metadata=["answer"])
    assert len(found) == 30
    assert found[3].fields == {"question": "Who left at 3?", "context": "The bus left.\nNobody saw it."}
    assert (found[3].own_id, found[3].metadata) == ("3", {"answer": ["Bus 3."]})


def test_demonstrations(folder: Path) -> None:
    found = read_demonstrations(folder / "two", ["question", "context"], "answer", split="train")
    assert len(found) == 30
    assert ("Bus 7.",) in found.values()


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("two", {}, r"has the splits train, test; set inputs\.split to one of them"),
        ("two", {"split": "dev"}, r"has no split 'dev', only train, test; set inputs\.split"),
        ("one", {"split": "dev"}, r"has no splits; leave out inputs\.split"),
        ("one", {"id_field": "key"}, "no column 'key'"),
        ("nowhere", {}, r"are read from \.jsonl"),
    ],
)
def test_what_cannot_be_read(folder: Path, name: str, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(folder / name, **settings)


def test_a_folder_that_holds_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as a dataset"):
        read(tmp_path)


def test_a_file_has_no_splits(tmp_path: Path) -> None:
    path = tmp_path / "i.jsonl"
    path.write_text('{"question": "a"}\n')
    with pytest.raises(InputError, match=r"inputs\.split is for datasets; leave it out"):
        read(path, split="train")


def test_an_address_on_the_hub_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "inputs: {path: hf://owner/name}\ncast: {teacher: {demonstrations: hf://datasets/owner/name@v1, split: a}}\n"
    )
    config = load_config(file)
    assert config.cast.teacher.demonstrations is not None
    assert (hub_id(config.inputs.path), hub_id(config.cast.teacher.demonstrations)) == ("owner/name", "owner/name@v1")
    assert hub_id(Path("hf/owner")) is None
    assert hub_id(tmp_path) is None
