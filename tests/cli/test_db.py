"""`openmic db` on a copy of a finished run's store."""

import io
import json
import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from openmic.store import Adapter, Run, Store
from openmic.store.places import claim

from ..full_disk import fill, small_disk_at
from ..store import rows
from ..store.admin.later import PRESENT, add_revision
from ..whole_run import WholeRun
from .conftest import Openmic
from .refusal import refused


@pytest.fixture
def copy(run: WholeRun, openmic: Openmic, tmp_path: Path) -> Path:
    """The store of a finished run, to do with as one likes; the run's files are where it looks for them."""
    target = tmp_path / "copy.db"
    (tmp_path / "runs").symlink_to(run.home / "runs")
    assert openmic("db", "backup", str(target), "--store", run.store).code == 0
    return target


def json_of(openmic: Openmic, *arguments: str) -> Any:
    outcome = openmic("db", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_where_the_store_is(openmic: Openmic, tmp_path: Path) -> None:
    assert openmic("db", "path").out == f"{tmp_path}/openmic-data/openmic.db\n"
    shown = openmic("db", "path", "--store", "postgresql://me:s3cret@db/x").out
    assert shown == "postgresql://me@db/x\n"


def test_status_and_backup(openmic: Openmic, run: WholeRun, copy: Path, tmp_path: Path) -> None:
    found = json_of(openmic, "status", "--store", str(copy))
    assert found["revision"] == found["head"]
    assert found["bytes"] == copy.stat().st_size
    assert found["rows"]["run"] == 1
    assert found["rows"]["turn"] > 100
    assert "up to date" in openmic("db", "status", "--store", str(copy)).out
    assert json_of(openmic, "status", "--store", run.store)["rows"] == found["rows"]
    assert "exists already" in refused(openmic, tmp_path, "db", "backup", str(copy), "--store", run.store)


def test_an_older_store_is_seen_and_migrated(openmic: Openmic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "old.db"
    Store.open(str(old)).close()
    add_revision(tmp_path, monkeypatch)
    assert "openmic db migrate" in openmic("db", "status", "--store", str(old)).out
    found = json_of(openmic, "migrate", "--store", str(old))
    assert found == {"from": PRESENT, "to": "0002", "backup": str(tmp_path / "old.before-0002.db")}
    assert "already" in openmic("db", "migrate", "--store", str(old)).out


def test_a_run_verifies_and_damage_is_told(openmic: Openmic, copy: Path) -> None:
    sound = openmic("db", "verify", "--store", str(copy))
    assert (sound.code, sound.out) == (0, "everything is as it should be\n")
    with closing(sqlite3.connect(copy)) as raw, raw:
        raw.execute("DROP TRIGGER turn_never_changes")
        (turn,) = raw.execute("SELECT id FROM turn WHERE kind = 'draft' LIMIT 1").fetchone()
        raw.execute("UPDATE turn SET content = 'funnier' WHERE id = ?", (turn,))
    found = openmic("db", "verify", "--store", str(copy), "--json")
    assert found.code == 1
    assert [(fault["check"], fault["row"]) for fault in json.loads(found.out)["faults"]] == [
        ("content", f"turn {turn}")
    ]
    assert "1 fault\n" in openmic("db", "verify", "--store", str(copy)).err


def test_adapters_are_verified_where_they_are(openmic: Openmic, copy: Path, tmp_path: Path) -> None:
    with Store.open(str(copy)) as store:
        adapter = next(row for row in store.select(Adapter) if row.uri)
        assert adapter.uri is not None
        folder = tmp_path / "adapter"
        shutil.copytree(store.located(adapter.uri), folder)
        store.update(Adapter, adapter.id, uri=str(folder))
    assert openmic("db", "verify", "--store", str(copy)).code == 0
    (folder / "adapter_config.json").write_text("{}")
    found = openmic("db", "verify", "--store", str(copy))
    assert found.code == 1
    assert f"files: adapter {adapter.id}" in found.out
    shutil.rmtree(folder)
    absent = openmic("db", "verify", "--store", str(copy))
    assert absent.code == 1
    assert f"{folder} holds no committed adapter" in absent.out
    assert f"`openmic train --again {adapter.run_id}` makes it anew" in absent.out


def test_pruning_says_what_goes_and_does_it_when_told(
    openmic: Openmic, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with Store.open(str(copy)) as store:
        run_id = store.resolve_run("latest").id
        store.update(Run, run_id, home=str(home))
        claim(store.url, home)
    prune = ("prune", run_id[:12], "--files", "--store", str(copy))
    planned = json_of(openmic, *prune, "--dry-run")
    assert (planned["deleted"], planned["runs"], planned["folders"]) == (False, [run_id], [str(home)])
    assert home.is_dir()
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    asked = openmic("db", *prune)
    assert asked.code == 1
    assert f"run {run_id} (tiny)" in asked.out
    done = json_of(openmic, *prune, "--yes")
    assert done["deleted"]
    assert done["rows"].items() >= planned["rows"].items()
    assert not home.exists()
    assert set(json_of(openmic, "status", "--store", str(copy))["rows"].values()) == {0}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path / "small") as place:
        yield place


def test_a_disk_without_room_for_a_copy_is_told_of_when_all_is_deleted(openmic: Openmic, small_disk: Path) -> None:
    with Store.open(str(small_disk / "store.db")) as store:
        for number in (1, 2):
            (small_disk / f"RUN{number}").mkdir()
            claim(store.url, small_disk / f"RUN{number}")
            store.add(rows.run(id=f"RUN{number}", status="finished", home=f"RUN{number}"))
        store.add(rows.example(), rows.dialogue(run_id="RUN2"))
        store.add(*(rows.turn(seq, run_id="RUN2", content="unlike " * 200 + str(seq)) for seq in range(3000)))
    fill(small_disk, left=2_000_000)
    done = openmic("db", "prune", "RUN1", "--files", "--yes", "--json", "--store", str(small_disk / "store.db"))
    assert done.code == 1
    told = json.loads(done.out)
    assert (told["deleted"], told["runs"], told["folders"]) == (True, ["RUN1"], [str(small_disk / "RUN1")])
    [line] = done.err.splitlines()
    assert line == told["faults"][0]
    assert "was not made smaller" in line
    assert "full" in line
    assert not (small_disk / "RUN1").exists()
    with Store.open_readonly(str(small_disk / "store.db")) as store:
        assert [run.id for run in store.select(Run)] == ["RUN2"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "say which runs"),
        (("RUN", "--keep", "1"), "either name runs"),
        (("--older-than", "soon"), "'soon' is no age.*30d"),
        (("nobody",), "no run goes by 'nobody'"),
    ],
)
def test_what_prune_cannot_mean(openmic: Openmic, copy: Path, arguments: tuple[str, ...], why: str) -> None:
    assert re.search(why, refused(openmic, copy.parent / "none", "db", "prune", *arguments, "--store", str(copy)))
