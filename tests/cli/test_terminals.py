"""Terminals that are not UTF-8: what they cannot show is replaced, and nothing ends with a traceback."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openmic.cli.app import main
from openmic.cli.options import print_json

from ..whole_run import clean_environment

SAID = "She said “no” \N{EN DASH} twice… → 汽车 😀 \udce9"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", 'She said "no" - twice... -> \\u6c7d\\u8f66 \\U0001f600 \\udce9'),
        ("latin-1", 'She said "no" - twice... -> \\u6c7d\\u8f66 \\U0001f600 \\udce9'),
        ("utf-8", "She said “no” \N{EN DASH} twice… → 汽车 😀 \\udce9"),
    ],
)
def test_what_cannot_be_shown_is_replaced(encoding: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, encoding=encoding, write_through=True))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding=encoding))
    monkeypatch.setattr(sys, "argv", ["openmic", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert sys.stdin.readline().startswith("caf")
    raw.truncate(0)
    raw.seek(0)
    sys.stdout.write(f"{SAID}\n")
    assert raw.getvalue().decode(encoding) == shown + "\n"
    raw.truncate(0)
    raw.seek(0)
    text = SAID[:-1]
    print_json({"said": text})
    assert json.loads(raw.getvalue().decode(encoding)) == {"said": text}


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp437:strict"}, {"LANG": "C"}]
)
def test_commands_end_as_ever_in_such_a_terminal(variables: dict[str, str], tmp_path: Path) -> None:
    def openmic(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "openmic", *arguments]
        environment = clean_environment(**variables, LC_ALL="C")
        return subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False)

    assert json.loads(openmic("config", "schema").stdout)["title"] == "RunConfig"
    refused = openmic("run", "né\N{EN DASH}汽车.yaml")
    assert refused.returncode == 2
    assert refused.stderr.startswith(b"error: there is no configuration file")
    helped = openmic("run", "--help")
    assert helped.returncode == 0
    for done in (refused, helped):
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("number", "name", "advice"),
    [
        (errno.ENOSPC, "/data/x.db", "make room"),
        (errno.EDQUOT, "/data/x.db", "make room"),
        (errno.EROFS, None, "make it writable"),
        (errno.EACCES, "a\x1b[2J", "make it writable"),
    ],
)
def test_what_the_disk_refuses_is_one_line(
    number: int, name: str | None, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused() -> None:
        raise OSError(number, os.strerror(number), name)

    monkeypatch.setattr("openmic.cli.app.app", refused)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert f"cannot be written: {os.strerror(number)}; {advice}, or name another place" in told
    assert told.count("\n") == 1
    assert "\x1b" not in told


def test_an_error_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect() -> None:
        raise OSError(errno.EBADF, "ours")

    monkeypatch.setattr("openmic.cli.app.app", defect)
    with pytest.raises(OSError, match="ours"):
        main()
