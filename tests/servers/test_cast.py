"""A small campaign whose teacher, critic and judge are a real server's small model.

The model is a bad teacher and a worse critic: tests look at what goes over the wire and into the store, never at how
good anything is. The student is a tiny one, as it costs nothing, and the task lets its garbage count.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from openmic.store import Adapter, BallotRow, LLMCall, Store, VerdictRow

from ..whole_run import WholeRun, openmic_here, whole_run, write_config
from . import probes
from .serving import RealServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
NOTHING_LEFT = "no preference is left to train on"
NO_LABEL = "ReplyError: the verdict names neither 1 nor 2"
"""What a critic as small as this comes to now and then, however often it is asked; then the exit code is 3, or 1 where
it came to nothing else."""
MOST_TOKENS = 60
LABEL_ALONE: dict[str, dict[str, Any]] = {
    "vllm": {"structured_outputs": {"choice": ["1", "2"]}},
    "llama.cpp": {"grammar": 'root ::= "1" | "2"'},
    "transformers": {},
}
"""How a server is told to write nothing but a label, as one does with a judge that is too small to do as it is told."""
GIVES = {"vllm": "20", "llama.cpp": "20", "transformers": "no"}
"""Alternatives with log-probabilities."""


@pytest.fixture(scope="module")
def config(server: RealServer, tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign that asks some forty short questions."""
    seat: dict[str, Any] = {"model": server.model, "base_url": server.base_url, "max_concurrency": 4, "timeout_s": 180}
    # A verdict without a label is asked for again with room for a thousand tokens, and this model writes all of them.
    seat["extra_body"] = {"max_completion_tokens": MOST_TOKENS}
    path = write_config(
        tmp_path_factory.mktemp("cast"),
        tiny_causal,
        inputs={"limit": 24},
        imitation={"inputs": 4},
        dialogue={"inputs": 4, "candidates": 2},
        evaluation={"test_inputs": 2, "dev_inputs": 2},
        cast={"teacher": seat, "critic": seat, "judge": seat | {"extra_body": LABEL_ALONE[server.name]}},
    )
    task = path.parent / "lenient.yaml"
    values: dict[str, Any] = yaml.safe_load(task.read_text(encoding="utf-8"))
    for sampling in values["sampling"].values():
        sampling["max_tokens"] = MOST_TOKENS
    task.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def preflight(server: RealServer, config: Path) -> int:
    """How many replies preflight asks for."""
    before = server.answered
    done = openmic_here("run", str(config), "--dry-run", cwd=config.parent)
    assert done.returncode == 0, done.stderr
    return server.answered - before


@pytest.fixture(scope="module")
def campaign(server: RealServer, config: Path, preflight: int, ray_running: None) -> tuple[WholeRun, int]:
    """The campaign, and how many replies the server gave while it ran."""
    before = server.answered
    run = whole_run(config, here=True)
    return run, server.answered - before


def test_the_campaign_reaches_its_end(campaign: tuple[WholeRun, int]) -> None:
    run, _ = campaign
    assert "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert run.code in {0, 3} or NOTHING_LEFT in last or (last.startswith("error: all 4") and NO_LABEL in last), (
        run.stderr
    )
    if run.code == 3:
        assert all(failure["error"].startswith(NO_LABEL) for failure in run.status["failures"])
    with Store.open_readonly(run.store) as store:
        assert store.count(Adapter) >= 1


def test_every_reply_is_stored_once(campaign: tuple[WholeRun, int], preflight: int) -> None:
    run, answered = campaign
    with Store.open_readonly(run.store) as store:
        calls = store.select(LLMCall)
    assert {call.role for call in calls} == {"teacher", "critic", "judge"}
    assert len(calls) == answered - preflight > 0
    assert all(call.reply["usage"]["output"] > 0 for call in calls)


def test_verdicts_are_read_from_what_the_server_gives(server: RealServer, campaign: tuple[WholeRun, int]) -> None:
    run, _ = campaign
    with Store.open_readonly(run.store) as store:
        verdicts, ballots = store.select(VerdictRow), store.select(BallotRow)
        replies = [call.reply for call in store.select(LLMCall, role="critic")]
    assert verdicts
    assert {ballot.verdict_id for ballot in ballots} == {verdict.id for verdict in verdicts}
    gives = any(reply["token_logprobs"] for reply in replies)
    assert gives is (GIVES[server.name] != "no")


def test_status_shows_what_became_of_it(campaign: tuple[WholeRun, int]) -> None:
    run, _ = campaign
    done = openmic_here("status", cwd=run.folder)
    assert done.returncode == 0
    assert "v1" in done.stdout


def test_the_page_says_what_the_server_gives(server: RealServer) -> None:
    assert probes.found(server) == probes.documented(server.name)
