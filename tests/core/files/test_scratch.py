import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from openmic.core.files.scratch import scratch_folder

HOLD = """
import time
from openmic.core.files.scratch import scratch_folder
with scratch_folder("cast") as folder:
    (folder / "stderr").write_text("what was said")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_uses_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        assert folder.parent == tmp_path
        with scratch_folder("single") as own:
            assert own.stat().st_mode & 0o777 == 0o700
            assert folder.is_dir()
        assert not own.exists()
        other.send_signal(signal.SIGKILL)
        other.wait()
    with scratch_folder("export"):
        assert not folder.exists()


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "openmic-cast-recordings" / "all.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    (tmp_path / "openmic-single-file").write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".openmic-scratch").touch()
    (tmp_path / "openmic-cast-linked").symlink_to(elsewhere)
    with scratch_folder("cast"):
        assert kept.read_text() == "mine"
        assert (tmp_path / "openmic-single-file").is_file()
        assert elsewhere.is_dir()
