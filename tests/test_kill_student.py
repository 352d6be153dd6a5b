"""A whole run whose students are killed again and again says the same as one that nobody disturbed."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openmic.store import Dialogue, LLMCall, Store, Turn

from .processes import JOURNAL
from .whole_run import PATIENCE_S, ROOT, WholeRun, clean_environment, finished_run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
POOL = {"actors": 2, "cpus_per_actor": 0.5, "max_retries": 5}


@dataclass(frozen=True)
class Disturbed:
    """The run, and its kills in order."""

    run: WholeRun
    kills: list[dict[str, Any]]


@pytest.fixture(scope="module")
def disturbed(tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    folder = tmp_path_factory.mktemp("disturbed")
    config = write_config(folder, tiny_causal, student={"pool": POOL})
    journal = folder / "kills.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "tests.processes", "run", str(config), "--json"],
        cwd=folder,
        env=clean_environment(PYTHONPATH=str(ROOT), **{JOURNAL: str(journal)}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kills = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    return Disturbed(WholeRun(folder, done.returncode, done.stdout, done.stderr, 0.0), kills)


def transcript(run: WholeRun) -> dict[tuple[object, ...], tuple[object, ...]]:
    """Every turn by its place, whichever process said it and whenever."""
    with Store.open_readonly(run.store) as store:
        dialogues = {row.id: row for row in store.select(Dialogue)}
        turns = store.select(Turn)
    found: dict[tuple[object, ...], tuple[object, ...]] = {}
    for turn in turns:
        dialogue = dialogues[turn.dialogue_id]
        place = (dialogue.stage, dialogue.round, dialogue.example_id, turn.seq)
        assert place not in found, "a turn was said twice"
        found[place] = (turn.agent, turn.kind, turn.content, turn.adapter_version, turn.seed, turn.finish_reason)
    return found


def test_students_were_killed_during_a_request_all_at_once_and_during_a_load(
    disturbed: Disturbed,
) -> None:
    assert [kill["moment"] for kill in disturbed.kills] == ["one", "all", "load"]
    assert [len(kill["killed"]) for kill in disturbed.kills] == [1, 2, 1]
    assert all(kill["lost"] for kill in disturbed.kills)
    assert len({pid for kill in disturbed.kills for pid in kill["killed"]}) == 4


def test_the_run_finishes_as_if_nothing_had_happened(disturbed: Disturbed) -> None:
    status = disturbed.run.status
    assert status["status"] == "finished"
    assert status["dialogues"] == {"finished": 6, "failed": 0, "pending": 0}
    assert "Traceback" not in disturbed.run.stderr


def test_every_turn_is_that_of_an_undisturbed_run(disturbed: Disturbed, tiny_causal: Path) -> None:
    expected, found = transcript(finished_run(tiny_causal)), transcript(disturbed.run)
    assert found.keys() == expected.keys()
    assert {place: found[place] for place in expected if found[place] != expected[place]} == {}
    assert {turn[3] for turn in found.values() if turn[3] is not None} == {0, 1, 2}


def test_no_turn_is_doubled_or_missing_and_nothing_was_asked_twice(disturbed: Disturbed) -> None:
    with Store.open_readonly(disturbed.run.store) as store:
        seqs: dict[str, list[int]] = {}
        for turn in store.select(Turn, order_by="seq"):
            seqs.setdefault(turn.dialogue_id, []).append(turn.seq)
        calls = store.count(LLMCall)
    assert all(found == list(range(len(found))) for found in seqs.values())
    asked = Counter(line["request_hash"] for line in disturbed.run.journal)
    assert set(asked.values()) == {1}
    assert len(asked) == calls
