"""A campaign under a budget: stopped by its tokens, by its minutes, and brought to its end with more."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import openmic
from openmic.store import Dialogue, LLMCall, Run, Store, Turn

from .whole_run import WholeRun, openmic_here, whole_run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
DEAR = {"input": 1.0, "output": 4.0}


@pytest.fixture(scope="module")
def stopped(ray_running: None, tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    cast = {role: {"price": DEAR} for role in ("teacher", "critic", "judge")}
    config = write_config(tmp_path_factory.mktemp("budget"), tiny_causal, cast=cast, budget={"tokens": 9_000})
    return whole_run(config, here=True)


@pytest.fixture(scope="module")
def story(stopped: WholeRun) -> dict[str, Any]:
    """What each command said after the first had stopped, up to the end of the run."""
    said: dict[str, Any] = {}

    def resume(name: str, *arguments: str) -> None:
        done = openmic_here("resume", *arguments, cwd=stopped.folder)
        status = openmic_here("status", "--json", cwd=stopped.folder)
        said[name] = done.returncode, done.stderr, json.loads(status.stdout)

    path = stopped.folder / "config.yaml"
    written = path.read_text(encoding="utf-8")
    path.write_text(yaml.safe_dump(yaml.safe_load(written) | {"rounds": 2, "seed": 9}), encoding="utf-8")
    resume("no more")
    path.write_text(written, encoding="utf-8")
    resume("another key", "--set", "rounds=2")
    resume("no minutes", "--set", "budget.tokens=null", "--set", "budget.minutes=0.0001")
    worked = said["no minutes"][2]["cost"]["minutes"]
    resume("minutes", "--set", f"budget.minutes={worked + 2 / 60}")
    resume("the end", "--set", "budget.minutes=null", "--set", "budget.usd=5")
    return said


def test_a_run_stops_when_its_tokens_are_spent_and_nothing_has_failed(stopped: WholeRun) -> None:
    assert stopped.code == 4, stopped.stderr
    assert "the budget is spent: budget.tokens is 9,000 tokens" in stopped.stderr
    assert "% of budget.tokens (9,000 tokens) is spent" in stopped.stderr
    assert "--set budget.tokens=…" in stopped.stderr.partition("to go on:")[2]
    assert "never retrieved" not in stopped.stderr
    with Store.open_readonly(stopped.store) as store:
        calls = [row.reply["usage"] for row in store.select(LLMCall)]
        taken = [usage["input"] + usage["output"] for usage in calls]
        assert 9_000 <= sum(taken) < 9_000 + 2 * 16 * max(taken)  # what may be in flight at the teacher and the critic
        assert len(calls) == sum(line["status"] == 200 for line in stopped.journal)
        assert store.count(Dialogue, status="failed") == 0
        [run] = store.select(Run)
        assert (run.status, run.seconds > 0) == ("interrupted", True)


def test_without_more_it_stops_again_and_says_that_its_file_was_changed(story: dict[str, Any]) -> None:
    code, said, status = story["no more"]
    assert code == 4
    assert "which goes on with what it said then:" in said
    assert "  rounds: not set -> 2" in said
    assert "  seed: not set -> 9" in said
    assert (status["status"], status["failed"]) == ("interrupted", 0)
    assert status["cost"]["budget"] == {"tokens": 9_000}


def test_nothing_but_the_budget_may_change(story: dict[str, Any]) -> None:
    code, said, _ = story["another key"]
    assert code == 2
    assert "only its budget may change" in said


def test_minutes_stop_it_as_an_interrupt_does_and_count_all_that_was_worked(story: dict[str, Any]) -> None:
    code, said, status = story["no minutes"]
    assert code == 4
    assert "budget.minutes is 0.0001 minutes, and" in said
    assert "were worked" in said
    assert "was changed since" not in said
    before = status["cost"]["minutes"]
    code, said, status = story["minutes"]
    assert (code, status["status"], status["failed"]) == (4, "interrupted", 0)
    assert status["error"].startswith("the budget is spent: budget.minutes is")
    assert before + 2 / 60 <= status["cost"]["minutes"] < before + 1


def test_with_more_it_comes_to_the_end_that_it_would_have_come_to(stopped: WholeRun, story: dict[str, Any]) -> None:
    code, said, status = story["the end"]
    assert code == 0, said
    assert (status["status"], status["error"]) == ("finished", None)
    assert [version["stage"] for version in status["versions"]] == ["no adapter", "imitation", "round 1"]
    asked = [line["request_hash"] for line in stopped.journal if line["status"] == 200]
    assert len(asked) == len(set(asked)) == status["cost"]["calls"]
    assert status["cost"]["usd"] == pytest.approx(
        sum((used["input_tokens"] + 4 * used["output_tokens"]) / 1e6 for used in status["llm"].values())
    )
    likely, most = status["cost"]["estimate"]["likely"], status["cost"]["estimate"]["at_most"]
    assert status["cost"]["calls"] < 1.2 * most["calls"]  # some replies to a student's garbage are asked for again
    assert status["cost"]["usd"] <= most["usd"]
    assert 0.5 < status["cost"]["usd"] / likely["usd"] < 2
    assert status["cost"]["prices"] == [f"cast.{role}.price" for role in ("critic", "judge", "teacher")]


@pytest.fixture(scope="module")
def again(stopped: WholeRun, story: dict[str, Any]) -> dict[str, Any]:
    """The same configuration in a new run that takes over what there is, and one more round."""
    first = story["the end"][2]["run"]
    more = ("--set", "budget.tokens=null", "--set", "rounds=2", "--json")
    done = openmic_here("run", str(stopped.folder / "config.yaml"), "--from", first, *more, cwd=stopped.folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_new_run_takes_over_what_is_unchanged_and_asks_for_the_rest_alone(
    stopped: WholeRun, story: dict[str, Any], again: dict[str, Any]
) -> None:
    before, first = story["the end"][2], story["the end"][2]["run"]
    assert (again["status"], again["run"] != first) == ("finished", True)
    taken = again["taken_over"]
    assert taken["run"] == first
    assert taken["replies"] == before["cost"]["calls"], "everything that was asked in the first round"
    assert taken["adapters"] == 2
    assert 0 < again["cost"]["calls"] < before["cost"]["calls"]
    assert [version["stage"] for version in again["versions"]][:3] == [v["stage"] for v in before["versions"]]
    assert [version["adapter_path"] for version in again["versions"]][:3] == [
        version["adapter_path"] for version in before["versions"]
    ]
    assert again["gain"] is not None
    log = stopped.home / "runs" / again["run"] / "simulated-cast.jsonl"
    asked = {json.loads(line)["request_hash"] for line in log.read_text(encoding="utf-8").splitlines()}
    earlier = stopped.home / "runs" / first / "simulated-cast.jsonl"
    assert not asked & {json.loads(line)["request_hash"] for line in earlier.read_text(encoding="utf-8").splitlines()}
    with Store.open_readonly(stopped.store) as store:
        texts = [{(t.request_key, t.content) for t in student_turns(store, run)} for run in (first, again["run"])]
        assert texts[0] <= texts[1]
        assert taken["texts"] == len(student_turns(store, first))


def student_turns(store: Store, run: str) -> list[Turn]:
    return store.select(Turn, run_id=run, agent="student")


def test_what_a_run_has_taken_its_adapters_from_is_not_pruned_without_it(
    stopped: WholeRun, again: dict[str, Any]
) -> None:
    done = openmic_here("db", "prune", again["taken_over"]["run"], "--yes", cwd=stopped.folder)
    assert done.returncode == 2
    assert f"run {again['run']} works with what run {again['taken_over']['run']} made" in done.stderr


def test_a_run_to_take_over_from_has_to_be_in_the_store(stopped: WholeRun) -> None:
    done = openmic_here("run", str(stopped.folder / "config.yaml"), "--from", "NOSUCH", cwd=stopped.folder)
    assert done.returncode == 2
    assert "no run goes by 'NOSUCH'" in done.stderr


def test_a_finished_run_can_be_given_another_budget_from_python(stopped: WholeRun, story: dict[str, Any]) -> None:
    run = openmic.open_run(store=stopped.store)
    run.resume({"tokens": 1}, progress=False)
    assert run.config.budget.tokens == 1
    with pytest.raises(openmic.OpenmicError, match=r"unknown key 'budget\.dollars'"):
        run.resume({"dollars": 1}, progress=False)
