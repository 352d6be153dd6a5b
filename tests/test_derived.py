"""Working on what is stored: a whole run, then `train`, `rejudge` and `evaluate` through the real command line.

The commands run in this process, in one Ray session.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import openmic
from openmic.core.config import RunConfig
from openmic.store import Adapter, Dialogue, LLMCall, Preference, Run, Store, Training, TrainingItem, Turn, VerdictRow

from .whole_run import WholeRun, openmic_here, whole_run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def source(ray_running: None, tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    """A campaign of this file's own, since the runs made of it lie beside it."""
    run = whole_run(write_config(tmp_path_factory.mktemp("source"), tiny_causal), here=True)
    assert run.code == 0, run.stderr
    return run


@pytest.fixture(scope="module")
def rejudged(source: WholeRun) -> dict[str, Any]:
    return command(source, "rejudge", source.status["run"], "--set", "cast.simulated.flip_rate=1.0")


@pytest.fixture(scope="module")
def trained(source: WholeRun) -> dict[str, Any]:
    return command(source, "train", source.status["run"], "--objective", "simpo", "--set", "training.epochs=2")


def command(source: WholeRun, *arguments: str) -> dict[str, Any]:
    """What a command says with --json. Must succeed."""
    done = openmic_here(*arguments, "--json", cwd=source.folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def refusal(source: WholeRun, *arguments: str) -> str:
    """What a command says that has to end with code 2."""
    done = openmic_here(*arguments, cwd=source.folder)
    assert done.returncode == 2
    return done.stderr


def test_training_from_transcripts_generates_nothing_and_asks_nobody(source: WholeRun, trained: dict[str, Any]) -> None:
    before, status = source.status, trained
    assert status["status"] == "finished"
    assert [(v["version"], v["stage"]) for v in status["versions"]] == [
        (0, "no adapter"),
        (1, "imitation"),
        (2, "round 1"),
    ]
    assert (status["versions"][2]["objective"], status["versions"][2]["promoted"]) == ("simpo", True)
    assert Path(status["adapter_path"]).is_dir()
    assert status["adapter_path"] != before["adapter_path"]
    with Store.open_readonly(source.store) as store:
        run = store.resolve_run(status["run"])
        assert (run.kind, run.source_run_id) == ("train", before["run"])
        assert [store.count(table, run_id=run.id) for table in (Turn, Dialogue, LLMCall, VerdictRow)] == [0, 0, 0, 0]
        [training] = store.select(Training, run_id=run.id)
        assert training.config["epochs"] == 2
        learned = store.select(TrainingItem, training_id=training.id)
        there = {row.id for row in store.select(Preference, run_id=before["run"])}
        assert learned
        assert {item.preference_id for item in learned} <= there
        inherited = store.located(store.select(Adapter, run_id=run.id, version=1)[0].uri or "")
        assert inherited == before["versions"][1]["adapter_path"]
        home = store.located(run.home)
    assert not list(Path(home).glob("simulated-cast.jsonl"))


def test_what_plays_no_part_cannot_be_set(source: WholeRun) -> None:
    of_run = ("train", source.status["run"])
    assert "only training, preferences, student, seed, budget can be set" in refusal(
        source, *of_run, "--set", "dialogue.inputs=3"
    )
    assert "training.objective 'ppo'" in refusal(source, "train", "latest", "--objective", "ppo")
    assert "no adapter version 9" in refusal(source, *of_run, "--from-version", "9")
    with Store.open_readonly(source.store) as store:
        assert all(run.status == "finished" for run in store.select(Run))


def test_judging_again_asks_the_critic_alone_and_keeps_the_old_verdicts(
    source: WholeRun, rejudged: dict[str, Any]
) -> None:
    with Store.open_readonly(source.store) as store:
        old = store.select(VerdictRow, run_id=source.status["run"], agent="critic")
        new = store.select(VerdictRow, run_id=rejudged["run"])
        assert rejudged["n"] == len(old) == len(new)
        assert {(v.first_turn_id, v.second_turn_id) for v in old} == {(v.first_turn_id, v.second_turn_id) for v in new}
        turns = store.select(Turn, run_id=rejudged["run"])
        assert {(turn.agent, turn.kind) for turn in turns} == {("critic", "verdict")}
        assert {call.role for call in store.select(LLMCall, run_id=rejudged["run"])} == {"critic"}
    log = Path(source.home) / "runs" / rejudged["run"] / "simulated-cast.jsonl"
    kinds = {json.loads(line)["kind"] for line in log.read_text(encoding="utf-8").splitlines()}
    assert kinds == {"compare"}


def test_a_critic_that_turns_every_verdict_round_agrees_with_none_that_was_decided(rejudged: dict[str, Any]) -> None:
    assert rejudged["decided"] > 0
    assert rejudged["decided_agreement"] == 0
    low, high = rejudged["ci"]
    assert 0 <= low <= rejudged["agreement"] <= high <= 1
    assert rejudged["agreement"] <= (rejudged["n"] - rejudged["decided"]) / rejudged["n"]


def test_judging_again_stops_at_its_own_budget_and_goes_on_with_more(source: WholeRun) -> None:
    of_run = ("rejudge", source.status["run"], "--set", "cast.simulated.flip_rate=0.5")
    stopped = openmic_here(*of_run, "--set", "budget.tokens=400", cwd=source.folder)
    assert stopped.returncode == 4
    assert "the budget is spent: budget.tokens is 400 tokens" in stopped.stderr
    with Store.open_readonly(source.store) as store:
        run = store.resolve_run("latest")
    assert (run.kind, run.status) == ("rejudge", "interrupted")
    assert openmic_here("resume", run.id, cwd=source.folder).returncode == 4
    assert openmic_here("resume", run.id, "--set", "budget.tokens=null", cwd=source.folder).returncode == 0
    with Store.open_readonly(source.store) as store:
        verdicts = [store.count(VerdictRow, run_id=name, agent="critic") for name in (source.status["run"], run.id)]
        assert verdicts[0] == verdicts[1]
        assert store.count(Dialogue, run_id=run.id, status="failed") == 0


def with_faults(source: WholeRun, run: str, **rates: float) -> None:
    """Have the simulated cast of a run have these faults from now on."""
    with Store.open(source.store) as store:
        row = store.resolve_run(run)
        config = RunConfig.model_validate(row.config)
        cast = config.cast.model_copy(update={"simulated": config.cast.simulated.model_copy(update={"faults": rates})})
        store.update(Run, run, config=config.model_copy(update={"cast": cast}).model_dump(mode="json"))


def test_comparisons_that_failed_are_judged_again_on_request(source: WholeRun, rejudged: dict[str, Any]) -> None:
    faults = "cast.simulated={flip_rate: 1.0, faults: {filtered: 0.2}}"
    done = openmic_here("rejudge", source.status["run"], "--set", faults, "--json", cwd=source.folder)
    assert done.returncode == 3, done.stderr
    run = json.loads(done.stdout)["run"]
    with Store.open_readonly(source.store) as store:
        assert store.count(Dialogue, run_id=run, status="failed") > 0
    with_faults(source, run)
    assert openmic_here("resume", run, cwd=source.folder).returncode == 3  # nobody asked for more
    assert openmic_here("resume", run, "--retry-failed", cwd=source.folder).returncode == 0

    def verdicts(run_id: str) -> set[tuple[str, str, str | None]]:
        return {(row.first_turn_id, row.second_turn_id, row.outcome) for row in store.select(VerdictRow, run_id=run_id)}

    with Store.open_readonly(source.store) as store:
        assert store.count(Dialogue, run_id=run, status="failed") == 0
        assert verdicts(run) == verdicts(rejudged["run"])


def test_a_student_can_be_trained_on_the_new_critic_s_preferences(source: WholeRun, rejudged: dict[str, Any]) -> None:
    status = command(source, "train", rejudged["run"], "--objective", "dpo")
    with Store.open_readonly(source.store) as store:
        [training] = store.select(Training, run_id=status["run"])
        items = store.select(TrainingItem, training_id=training.id)
        learned = store.select(Preference, id=[item.preference_id for item in items])
        assert {row.run_id for row in learned} == {rejudged["run"]}
        turned = {(row.rejected_turn_id, row.chosen_turn_id) for row in learned}
        judged = store.select(Preference, run_id=source.status["run"])
        before = {(row.chosen_turn_id, row.rejected_turn_id) for row in judged if row.verdict_id is not None}
        assert turned <= before
    shown = openmic_here("transcripts", "list", rejudged["run"], cwd=source.folder)
    assert shown.returncode == 0
    assert "judged again" in shown.stdout
    silent = refusal(source, "chat", "--run", rejudged["run"], "The kettle broke.")
    assert "has no adapter to talk to (it is a rejudge)" in silent


def test_what_was_trained_can_be_evaluated_afterwards(source: WholeRun, trained: dict[str, Any]) -> None:
    assert all("n" not in version for version in trained["versions"])
    with_faults(source, trained["run"], filtered=0.2)
    failed = openmic_here("evaluate", trained["run"], "--json", cwd=source.folder)
    assert failed.returncode == 3, failed.stderr
    with_faults(source, trained["run"])
    held = openmic_here("resume", trained["run"], "--retry-failed", cwd=source.folder)
    assert (held.returncode, "failed items were held again; 0 items are failed now" in held.stderr) == (0, True)
    judged = command(source, "evaluate", trained["run"])
    assert [version["n"] for version in judged["versions"]] == [3, 3, 3]
    assert judged["gain"]["from"] == 1
    assert judged["gain"]["to"] == 2
    calls = judged["llm"]["judge"]["calls"]
    again = command(source, "evaluate", trained["run"], "--version", "2")
    assert again["llm"]["judge"]["calls"] == calls
    assert set(again["llm"]) == {"judge"}


def test_versions_that_are_not_there_cannot_be_evaluated(source: WholeRun) -> None:
    assert "no adapter version [7]" in refusal(source, "evaluate", source.status["run"], "--version", "7")


def test_without_a_check_the_first_question_is_the_first_to_fail(source: WholeRun) -> None:
    nobody = "model=m", "base_url=http://127.0.0.1:9/v1", "max_retries=0"
    critic = [part for setting in nobody for part in ("--set", f"cast.critic.{setting}")]
    assert "http://127.0.0.1:9/v1" in refusal(source, "rejudge", source.status["run"], *critic)
    with Store.open_readonly(source.store) as store:
        before = store.count(Run)
    done = openmic_here("rejudge", source.status["run"], *critic, "--no-check", cwd=source.folder)
    assert done.returncode == 1, done.stderr
    with Store.open_readonly(source.store) as store:
        assert store.count(Run) == before + 1
        assert store.resolve_run("latest").status == "failed"


def test_a_moved_home_is_whole_and_what_is_lost_of_it_is_made_anew(source: WholeRun, tmp_path: Path) -> None:
    home, run = tmp_path / "moved", source.status["run"]
    shutil.copytree(source.home, home)
    there = ("--store", str(home / "openmic.db"))
    before = content_of(source.home / "runs" / run)
    place = home / "runs" / run / "adapters"
    assert command(source, "status", run, *there)["adapter_path"] == str(place / "v000002")
    assert openmic_here("db", "verify", *there, cwd=tmp_path).returncode == 0

    alone, whole = tmp_path / "alone" / "openmic.db", tmp_path / "whole" / "openmic.db"
    assert openmic_here("db", "backup", str(alone), *there, cwd=tmp_path).returncode == 0
    told = openmic_here("db", "verify", "--store", str(alone), cwd=tmp_path)
    assert told.returncode == 1
    assert "`openmic db backup FILE --adapters` copies them too" in told.stdout
    copied = openmic_here("db", "backup", str(whole), "--adapters", *there, cwd=tmp_path)
    assert copied.returncode == 0, copied.stderr
    assert openmic_here("db", "verify", "--store", str(whole), cwd=tmp_path).returncode == 0

    shutil.rmtree(place / "v000001")
    (place / "v000002" / "adapter_model.safetensors").write_bytes(b"altered")
    verified = openmic_here("db", "verify", *there, cwd=tmp_path)
    assert verified.returncode == 1
    assert verified.stdout.count(f"openmic train --again {run}` makes it anew") == 2
    first = openmic_here("train", "--again", run, "v2", *there, cwd=tmp_path)
    assert first.returncode == 1
    assert "adapter v2 begins from v1, and" in first.stderr
    made = command(source, "train", "--again", run, "v1", *there)["made"]
    moved = openmic.open_run(run, there[1])
    made += moved.train_again(progress=False)
    assert list(moved.train_again(2, progress=False)) == []
    assert [(one["version"], one["same_bytes"]) for one in made] == [(1, True), (2, True)]
    assert made[0]["adapter_path"] == str(place / "v000001")
    assert (place / "v000002" / "adapter_model.safetensors").read_bytes() == b"altered"
    assert openmic_here("db", "verify", *there, cwd=tmp_path).returncode == 0
    again = openmic_here("train", "--again", run, "v2", *there, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, f"adapter v2 of run {run} is whole: nothing was made\n")
    refused = openmic_here("train", "--again", run, "v7", *there, cwd=tmp_path)
    assert refused.returncode == 2
    assert f"run {run} made no adapter v7; it made [1, 2]" in refused.stderr
    assert content_of(source.home / "runs" / run) == before


def content_of(folder: Path) -> dict[str, bytes]:
    """What every file beneath a folder holds."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
