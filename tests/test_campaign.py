import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import StoreError
from openmic.core.records import Stage, TurnKind
from openmic.simulator import SimulatedCast, SimulatorSettings
from openmic.store import (
    Adapter,
    Dialogue,
    EvaluationItem,
    LLMCall,
    Preference,
    Run,
    Store,
    Training,
    TrainingItem,
    TrainingMetric,
    Turn,
    VerdictRow,
)

from .whole_run import WholeRun, clean_environment, finished_run, journal_of, openmic_here, resume_command, whole_run
from .whole_run import write_config as config_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def run(tiny_causal: Path) -> WholeRun:
    return finished_run(tiny_causal)


def test_a_whole_run_finishes_with_everything_that_status_promises(run: WholeRun) -> None:
    assert run.code == 0
    status = run.status
    assert status["status"] == "finished"
    assert status["cast"] == "simulated"
    assert status["dialogues"] == {"finished": 6, "failed": 0, "pending": 0}
    assert status["revisions"] >= 1
    assert status["turns"] > 6 * 3
    assert status["store"].endswith("openmic.db")
    assert [(version["version"], version["stage"]) for version in status["versions"]] == [
        (0, "no adapter"),
        (1, "imitation"),
        (2, "round 1"),
    ]
    for version in status["versions"]:
        assert version["win"] + version["tie"] + version["loss"] == version["n"] == 3
        low, high = version["ci"]
        assert 0 <= low <= version["win_tie_rate"] <= high <= 1
        assert version["win_tie_rate"] == pytest.approx((version["win"] + version["tie"]) / version["n"])
        assert 0 <= version["distinct_2"] <= 1
        assert version["length_ratio"] >= 0
    gain = status["gain"]
    assert gain["from"] == 1
    assert gain["to"] == 2
    before, after = status["versions"][1]["win_tie_rate"], status["versions"][2]["win_tie_rate"]
    assert gain["value"] == pytest.approx(after - before)
    assert gain["ci"][0] <= gain["value"] <= gain["ci"][1]


def test_the_progress_of_every_step_is_on_stderr(run: WholeRun) -> None:
    for step in ("teacher demonstrates", "imitation: sft", "round 1: dialogues", "round 1: dpo", "evaluate v2 (test)"):
        assert step in run.stderr
    for number in range(1, 7):
        assert f"stage {number} of 6" in run.stderr
    assert "Traceback" not in run.stderr


def test_status_says_afterwards_what_the_run_said_at_its_end(run: WholeRun) -> None:
    done = openmic_here("status", "latest", "--json", cwd=run.folder)
    assert done.returncode == 0
    assert WholeRun(run.folder, 0, done.stdout, "", 0.0).status == run.status


def test_the_adapter_loads_with_peft_alone_and_changes_what_the_student_says(run: WholeRun, tiny_causal: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_causal)
    ids = torch.arange(20).unsqueeze(0)
    with torch.inference_mode():
        bare = base(input_ids=ids).logits.clone()
        adapted = PeftModel.from_pretrained(base, run.status["adapter_path"])(input_ids=ids).logits
    assert not torch.allclose(bare, adapted)


def test_every_word_of_a_large_model_is_traced_to_a_stored_call(run: WholeRun) -> None:
    with Store.open_readonly(run.store) as store:
        [row] = store.select(Run)
        calls = {call.key: call for call in store.select(LLMCall, run_id=row.id)}
        turns = store.select(Turn, run_id=row.id)
    said = [turn for turn in turns if turn.agent != "student"]
    assert {turn.agent.value for turn in said} == {"teacher", "critic", "judge"}
    assert all(calls[turn.request_key or ""].role == turn.agent.value for turn in said)
    assert {turn.request_key for turn in said} == set(calls), "a reply that was paid for is in no transcript"
    assert all(turn.template_hash and turn.prompt_hash for turn in turns)


def test_nothing_was_asked_twice_and_every_answer_was_stored(run: WholeRun) -> None:
    answered = [line["request_hash"] for line in run.journal if line["status"] == 200]
    with Store.open_readonly(run.store) as store:
        assert len(answered) == len(set(answered)) == store.count(LLMCall)


def test_every_text_of_the_student_names_the_adapter_that_wrote_it(run: WholeRun) -> None:
    with Store.open_readonly(run.store) as store:
        dialogues = {row.id: row for row in store.select(Dialogue)}
        turns = store.select(Turn, agent="student")
    for turn in turns:
        dialogue = dialogues[turn.dialogue_id]
        assert turn.adapter_version == (dialogue.round if dialogue.stage is Stage.EVALUATE else 1)
        assert turn.worker is not None
        assert turn.seed is not None
        assert turn.output_tokens == len(turn.raw["token_ids"]) <= 16


def test_every_dialogue_is_a_whole_conversation(run: WholeRun) -> None:
    with Store.open_readonly(run.store) as store:
        for dialogue in store.select(Dialogue, stage=Stage.COLLECT):
            found = store.conversation(dialogue.id)
            kinds = [turn.kind for turn in found.turns]
            assert [turn.seq for turn in found.turns] == list(range(len(kinds)))
            assert kinds[:3] == [TurnKind.DRAFT] * 3
            assert dialogue.final_turn_id in {turn.id for turn in found.turns}
            assert dialogue.stop_reason in {"revision accepted", "teacher demonstrated"}
            assert kinds.count(TurnKind.VERDICT) == 2 * len(found.verdicts)
            assert kinds.count(TurnKind.CRITIQUE) == len(found.critiques) == kinds.count(TurnKind.REVISION)


def test_each_training_consumed_its_items_once_and_left_a_curve(run: WholeRun) -> None:
    with Store.open_readonly(run.store) as store:
        imitation, feedback = store.select(Training, order_by="adapter_version")
        items = store.select(TrainingItem)
        preferences = {row.id for row in store.select(Preference)}
        demonstrations = {row.id for row in store.select(Turn, kind=TurnKind.DEMONSTRATION)}
        curves = Counter(row.training_id for row in store.select(TrainingMetric))
        adapters = {row.version: row for row in store.select(Adapter)}
    assert (imitation.objective, feedback.objective) == ("sft", "dpo")
    learned = {training.id: [i for i in items if i.training_id == training.id] for training in (imitation, feedback)}
    assert {item.turn_id for item in learned[imitation.id]} <= demonstrations
    assert {item.preference_id for item in learned[feedback.id]} == preferences
    assert max(Counter(item.turn_id or item.preference_id for item in items).values()) == 1
    for training in (imitation, feedback):
        assert training.status == "finished"
        assert training.examples == len(learned[training.id]) > 0
        assert curves[training.id] == training.metrics["steps"] > 0
        assert adapters[training.adapter_version].training_id == training.id
    assert feedback.parent_version == imitation.adapter_version


def test_held_out_inputs_are_never_trained_on_or_talked_about(run: WholeRun) -> None:
    with Store.open_readonly(run.store) as store:
        judged = {item.example_id for item in store.select(EvaluationItem)}
        rehearsed = {row.example_id for row in store.select(Dialogue, stage=Stage.COLLECT)}
        dialogue_of = {turn.id: turn.dialogue_id for turn in store.select(Turn)}
        example_of = {row.id: row.example_id for row in store.select(Dialogue)}
        learned = {example_of[dialogue_of[item.turn_id]] for item in store.select(TrainingItem) if item.turn_id}
    assert judged
    assert rehearsed
    assert learned
    assert not judged & (rehearsed | learned)


def test_the_critic_never_judges_an_evaluation_and_the_judge_never_a_rehearsal(run: WholeRun) -> None:
    with Store.open_readonly(run.store) as store:
        stages = {row.id: row.stage for row in store.select(Dialogue)}
        by_agent = {(verdict.agent, stages[verdict.dialogue_id]) for verdict in store.select(VerdictRow)}
    assert by_agent == {("critic", Stage.COLLECT), ("judge", Stage.EVALUATE)}


def test_the_store_is_the_one_record_of_where_a_run_stands(run: WholeRun) -> None:
    assert [path.name for path in run.home.iterdir() if "checkpoint" in path.name] == []


@pytest.mark.usefixtures("ray_running")
def test_resuming_a_finished_run_does_nothing_and_ends_well(run: WholeRun) -> None:
    asked = len(run.journal)
    done = openmic_here("resume", run.status["run"].lower()[:16], "--json", cwd=run.folder)
    assert done.returncode == 0, done.stderr
    assert WholeRun(run.folder, 0, done.stdout, "", 0.0).status == run.status
    assert f"run {run.status['run']} (tiny) is finished already" in done.stderr
    assert len(run.journal) == asked


@pytest.fixture(scope="module")
def interrupted(ray_running: None, tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A run that got Ctrl-C in the middle of its dialogues, and was then resumed."""
    folder = tmp_path_factory.mktemp("interrupted")
    config = config_for(
        folder,
        tiny_causal,
        imitation={"inputs": 4},
        dialogue={"inputs": 8, "concurrency": 2},
        cast={"simulated": {"latency_s": 0.4}},
    )
    command = [sys.executable, "-m", "openmic", "run", str(config), "--json"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _wait_for_dialogues(process, folder / "openmic-data" / "openmic.db", at_least=2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: to every process of the group
        stdout, stderr = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    home = folder / "openmic-data"
    journal = journal_of(home)
    status = openmic_here("status", "--json", cwd=folder)
    with Store.open_readonly(str(home / "openmic.db")) as store:
        turns = {turn.id: turn for turn in store.select(Turn)}
        calls = store.count(LLMCall)
    resumed = openmic_here(*resume_command(stderr), "--json", cwd=folder)
    return {
        "code": process.returncode,
        "stdout": stdout,
        "stderr": stderr,
        "journal": journal,
        "status": WholeRun(folder, 0, status.stdout, "", 0.0).status,
        "turns": turns,
        "calls": calls,
        "resumed": WholeRun(folder, resumed.returncode, resumed.stdout, resumed.stderr, 0.0),
    }


def _wait_for_dialogues(process: subprocess.Popen[str], path: Path, *, at_least: int) -> None:
    """Until some dialogues of the round are over and others are not."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        with suppress(StoreError), Store.open_readonly(str(path)) as store:
            while time.monotonic() < deadline and process.poll() is None:
                held = [row.status for row in store.select(Dialogue, stage=Stage.COLLECT)]
                if held.count("finished") >= at_least:
                    assert held.count("pending") > 0, "all dialogues were over before they could be interrupted"
                    return
                time.sleep(0.05)
        time.sleep(0.1)
    raise AssertionError("no dialogue was finished in time")


def test_ctrl_c_ends_with_130_and_prints_how_to_go_on(interrupted: dict[str, Any]) -> None:
    assert interrupted["code"] == 130
    assert interrupted["stdout"] == ""
    assert f"to go on: openmic resume {interrupted['status']['run']}" in interrupted["stderr"]
    assert "Traceback" not in interrupted["stderr"]
    status = interrupted["status"]
    assert status["status"] == "interrupted"
    assert status["dialogues"]["finished"] >= 2
    assert status["dialogues"]["pending"] > 0
    assert status["dialogues"]["failed"] == 0


def test_every_reply_that_was_given_before_the_interrupt_was_stored(interrupted: dict[str, Any]) -> None:
    statuses = Counter(line["status"] for line in interrupted["journal"])
    assert set(statuses) == {200}, "an answer was on its way to nobody"
    assert statuses[200] == interrupted["calls"]


def test_resume_finishes_what_was_interrupted(interrupted: dict[str, Any]) -> None:
    resumed: WholeRun = interrupted["resumed"]
    assert resumed.code == 0, resumed.stderr
    begun = f"openmic resume · campaign {resumed.status['run']} (tiny) · interrupted, with v0, v1 so far\n"
    assert resumed.stderr.startswith(begun)
    assert resumed.status["run"] == interrupted["status"]["run"]
    assert resumed.status["status"] == "finished"
    assert resumed.status["dialogues"] == {"finished": 8, "failed": 0, "pending": 0}
    assert resumed.status["gain"] is not None


def test_no_turn_is_said_twice_and_none_is_changed_by_resuming(interrupted: dict[str, Any]) -> None:
    resumed: WholeRun = interrupted["resumed"]
    with Store.open_readonly(resumed.store) as store:
        turns = {turn.id: turn for turn in store.select(Turn)}
    assert {turn: turns.get(turn) for turn in interrupted["turns"]} == interrupted["turns"]
    places = Counter((turn.dialogue_id, turn.seq) for turn in turns.values())
    assert max(places.values()) == 1
    said = Counter((turn.dialogue_id, turn.request_key, turn.content_hash) for turn in turns.values())
    assert max(said.values()) == 1


def test_nothing_answered_before_the_interrupt_is_asked_again(interrupted: dict[str, Any]) -> None:
    resumed: WholeRun = interrupted["resumed"]
    before = {line["request_hash"] for line in interrupted["journal"] if line["status"] == 200}
    after = [line["request_hash"] for line in resumed.journal[len(interrupted["journal"]) :]]
    assert before
    assert after
    assert not before & set(after)
    with Store.open_readonly(resumed.store) as store:
        assert store.count(LLMCall) == len(before) + len(after)


@pytest.fixture(scope="module")
def troubled(ray_running: None, tiny_seq2seq: Path, tmp_path_factory: pytest.TempPathFactory) -> WholeRun:
    """A sequence-to-sequence student, and a cast served elsewhere that often refuses."""
    folder = tmp_path_factory.mktemp("troubled")
    config = config_for(
        folder,
        tiny_seq2seq,
        inputs={"limit": 48},
        imitation={"inputs": 8},
        dialogue={"inputs": 16},
        evaluation={"test_inputs": 8},
        cast={role: {"model": f"sim-{role}"} for role in ("teacher", "critic", "judge")},
    )
    with SimulatedCast(SimulatorSettings(faults={"refusal": 0.3})) as cast:
        return whole_run(config, here=True, OPENAI_BASE_URL=cast.base_url)


def test_a_run_with_failed_dialogues_finishes_with_exit_code_3(troubled: WholeRun) -> None:
    assert troubled.code == 3, troubled.stderr
    status = troubled.status
    assert status["status"] == "finished"
    assert status["dialogues"]["pending"] == 0
    assert 0 < status["dialogues"]["failed"] < 16
    with Store.open_readonly(troubled.store) as store:
        failed = store.select(Dialogue, stage=Stage.COLLECT, status="failed")
    assert all("the critic declines to compare" in (row.error or "") for row in failed)
    assert len(failed) == status["dialogues"]["failed"]


def test_a_simulated_cast_served_elsewhere_is_labelled_as_such(troubled: WholeRun) -> None:
    assert troubled.status["cast"] == "simulated"
    assert troubled.status["models"] == {role: f"sim-{role}" for role in ("teacher", "critic", "judge")}


def test_a_sequence_to_sequence_student_goes_the_whole_way(troubled: WholeRun, tiny_seq2seq: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSeq2SeqLM

    assert [version["version"] for version in troubled.status["versions"]] == [0, 1, 2]
    assert all(version["n"] > 0 for version in troubled.status["versions"])
    base = AutoModelForSeq2SeqLM.from_pretrained(tiny_seq2seq)
    assert (
        PeftModel.from_pretrained(base, troubled.status["adapter_path"]).peft_config["default"].task_type
        == "SEQ_2_SEQ_LM"
    )
