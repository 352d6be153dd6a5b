"""The image's recipe names what is there; whether it builds is tried where a builder is (`.ci/run`)."""

import inspect
import re
from pathlib import Path

from openmic.cli.models.serve import serve

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
IGNORED = [line for line in LINES if line and not line.startswith(("#", "!"))]


def test_it_copies_what_is_there_and_what_the_wheel_is_built_from() -> None:
    copied = [name for line in re.findall(r"^COPY (.+)$", TEXT, re.MULTILINE) for name in line.split()[:-1]]
    assert {"requirements.lock", "requirements-weights.lock", "."} == set(copied)
    assert all((ROOT / name).exists() for name in copied)
    rooms = {
        str(path.readlink()).removeprefix("../../")
        for path in (ROOT / "src" / "openmic").iterdir()
        if path.is_symlink()
    }
    assert not (rooms | {"src", "pyproject.toml", "README.md", "LICENSE"}) & set(IGNORED)


def test_the_lock_pins_the_torch_that_it_takes_from_another_index() -> None:
    assert re.search(r"^torch==\S+$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert set(re.findall(r"^ARG (\w+)", TEXT, re.MULTILINE)) == {"PYTHON", "TORCH_INDEX"}


def test_it_serves_the_port_of_openmic_serve_and_runs_as_nobody_s_root() -> None:
    assert f"EXPOSE {inspect.signature(serve).parameters['port'].default}\n" in TEXT
    assert TEXT.index("\nUSER openmic\n") < TEXT.index("\nENTRYPOINT")
