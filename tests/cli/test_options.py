from pathlib import Path
from typing import get_args

import pytest

from openmic.cli.options import store_flag
from openmic.cli.transcripts.choices import MAIN_STAGE
from openmic.store.tables.transcript import RunKind

ADDRESS = "postgresql://me:s3cret@host/db"


def test_a_printed_command_names_the_store_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENMIC_STORE", raising=False)
    assert store_flag(ADDRESS) == " --store postgresql://me@host/db"
    monkeypatch.setenv("OPENMIC_STORE", ADDRESS)
    assert store_flag(ADDRESS) == ""


def test_a_printed_command_names_a_store_only_where_it_has_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENMIC_STORE", raising=False)
    monkeypatch.setenv("OPENMIC_HOME", str(tmp_path))
    assert store_flag(str(tmp_path / "openmic.db")) == ""
    assert store_flag(str(tmp_path / "other.db")) == f" --store {tmp_path / 'other.db'}"


def test_every_kind_of_run_is_about_some_stage() -> None:
    assert set(MAIN_STAGE) == set(get_args(RunKind))
