"""The commands that read a finished run: status, transcripts and chat, for people and as JSON."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from openmic.core.ids import content_hash
from openmic.core.records import Agent, Stage, TurnKind
from openmic.store import Dialogue, ExampleRow, Run, Store, Turn

from ..whole_run import WholeRun
from .conftest import Openmic

NASTY = "\x1b[2J\x1b]0;owned\x07good\x9b31m \u202eevil\u202c night"


def json_of(openmic: Openmic, *arguments: str) -> Any:
    outcome = openmic(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    return json.loads(outcome.out)


@pytest.mark.parametrize("name", ["latest", "whole", "prefix", "lower"])
def test_a_run_goes_by_latest_by_its_id_and_by_a_beginning_of_it(of_run: Openmic, run: WholeRun, name: str) -> None:
    whole = run.status["run"]
    given = {"latest": "latest", "whole": whole, "prefix": whole[:12], "lower": whole.lower()[:20]}[name]
    assert json_of(of_run, "status", given) == run.status


def test_status_shows_a_row_for_each_version(of_run: Openmic, run: WholeRun) -> None:
    outcome = of_run("status")
    assert outcome.code == 0
    assert f"run {run.status['run']} (tiny, task humor): finished" in outcome.out
    assert "simulated cast" in outcome.out
    for name in (
        "no adapter",
        "imitation",
        "round 1",
        "win-tie rate",
        "95% interval",
        "distinct-2",
        " in win-tie rate (95%",
    ):
        assert name in outcome.out
    assert "6 finished, 0 failed, 0 pending" in outcome.out
    assert f"drafts       18 -> {run.status['funnel']['drafts']['valid']} valid" in outcome.out
    assert f"critic       {run.status['verdicts']['count']} verdicts" in outcome.out
    assert run.status["adapter_path"] in outcome.out


def test_a_store_is_found_by_option_and_by_the_environment(
    openmic: Openmic, run: WholeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json_of(openmic, "status", "--store", run.store) == run.status
    monkeypatch.setenv("OPENMIC_HOME", str(run.home))
    assert json_of(openmic, "status") == run.status
    monkeypatch.delenv("OPENMIC_HOME")
    monkeypatch.setenv("OPENMIC_STORE", run.store)
    assert json_of(openmic, "status") == run.status


@pytest.mark.parametrize("command", [["status"], ["resume"], ["transcripts", "list"], ["chat", "hello", "--run"]])
def test_a_run_that_is_not_there_is_an_error_that_lists_what_is(
    of_run: Openmic, run: WholeRun, command: list[str]
) -> None:
    outcome = of_run(*command, "NOSUCHRUN")
    assert outcome.code == 2
    assert "NOSUCHRUN" in outcome.err
    assert run.status["run"] in outcome.err


def test_list_shows_a_line_for_each_dialogue(of_run: Openmic) -> None:
    rows = json_of(of_run, "transcripts", "list")
    assert len(rows) == 6
    assert {row["status"] for row in rows} == {"finished"}
    assert {row["stage"] for row in rows} == {"collect"}
    outcome = of_run("transcripts", "list")
    assert outcome.code == 0
    for row in rows:
        assert row["dialogue"][:12] in outcome.out
        assert row["stop_reason"] in outcome.out


def test_list_is_filtered_and_paged(of_run: Openmic) -> None:
    rows = json_of(of_run, "transcripts", "list")
    names = [row["dialogue"] for row in rows]
    first = of_run("transcripts", "list", "-n", "4", "--json")
    assert [row["dialogue"] for row in json.loads(first.out)] == names[:4]
    assert of_run("transcripts", "list", "-n", "4").err == f"more: add --after {names[3][:12]}\n"
    rest = json_of(of_run, "transcripts", "list", "--after", names[3][:12])
    assert [row["dialogue"] for row in rest] == names[4:]
    reason = rows[0]["stop_reason"]
    chosen = json_of(of_run, "transcripts", "list", "--stop-reason", reason)
    assert [row["dialogue"] for row in chosen] == [row["dialogue"] for row in rows if row["stop_reason"] == reason]
    [found] = json_of(of_run, "transcripts", "list", "--text", rows[2]["input"].upper())
    assert found == rows[2]
    assert json_of(of_run, "transcripts", "list", "--status", "failed") == []
    assert json_of(of_run, "transcripts", "list", "--round", "2") == []
    assert {row["stage"] for row in json_of(of_run, "transcripts", "list", "--stage", "evaluate")} == {"evaluate"}


def test_a_list_without_a_match_says_so(of_run: Openmic) -> None:
    outcome = of_run("transcripts", "list", "--text", "no such words were ever said")
    said = "no dialogue matches among those of stage collect: --stage all looks at the others too\n"
    assert (outcome.code, outcome.out, outcome.err) == (0, "", said)


def test_show_tells_the_whole_conversation(of_run: Openmic) -> None:
    shown = json_of(of_run, "transcripts", "show", "latest")
    assert shown["dialogue"]["stage"] == "collect"
    outcome = of_run("transcripts", "show", "latest")
    assert outcome.code == 0
    plain = " ".join(outcome.out.split())
    assert shown["input"] in plain
    assert f"ended {shown['dialogue']['stop_reason']}" in plain
    reverse = {verdict["reverse_turn_id"] for verdict in shown["verdicts"]}
    for turn in shown["turns"]:
        if turn["id"] not in reverse:
            assert f"#{turn['seq'] + 1} " in plain
            assert turn["agent"] in plain
    for critique in shown["critiques"]:
        assert " ".join(critique["suggestion"].split()) in plain
    assert plain.count("shown first") == len(shown["verdicts"]) > 0
    assert plain.count("preference:") == sum(row["verdict_id"] is not None for row in shown["preferences"])


def test_show_takes_the_beginning_of_an_id(of_run: Openmic) -> None:
    name = json_of(of_run, "transcripts", "list")[0]["dialogue"]
    assert json_of(of_run, "transcripts", "show", name[:12])["dialogue"]["id"] == name
    outcome = of_run("transcripts", "show", "zzzz")
    assert outcome.code == 2
    assert "zzzz" in outcome.err


def test_every_kind_of_dialogue_can_be_shown(of_run: Openmic) -> None:
    for stage in ("demonstrate", "evaluate"):
        row = json_of(of_run, "transcripts", "list", "--stage", stage)[0]
        outcome = of_run("transcripts", "show", row["dialogue"])
        assert outcome.code == 0
        assert "Traceback" not in outcome.err


@pytest.fixture
def nasty(run: WholeRun, tmp_path: Path) -> Path:
    """A copy of the run's store in which a model and a user tried to drive the terminal."""
    path = tmp_path / "nasty.db"
    for source in run.home.glob("openmic.db*"):
        shutil.copy(source, path.with_name(source.name.replace("openmic", "nasty")))
    with Store.open(str(path)) as store:
        [row] = store.select(Run)
        store.add(ExampleRow(id="nasty", text=NASTY))
        store.add(
            Dialogue(id="ffff", run_id=row.id, stage=Stage.COLLECT, round=9, example_id="nasty"),
            Turn(
                id="said",
                run_id=row.id,
                dialogue_id="ffff",
                seq=0,
                agent=Agent.STUDENT,
                kind=TurnKind.DRAFT,
                content=NASTY,
                content_hash=content_hash(NASTY),
                model="tiny",
                note=NASTY,
            ),
        )
        store.update(Dialogue, "ffff", status="failed", error=NASTY, final_turn_id="said")
        store.update(Run, row.id, error=NASTY)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["transcripts", "list", "--round", "9"],
        ["transcripts", "show", "ffff", "--raw"],
        ["transcripts", "search", "good"],
        ["transcripts", "diff", "ffff", "ffff"],
        ["transcripts", "explain", "said"],
        ["transcripts", "tag", "ffff", NASTY],
    ],
    ids=str,
)
def test_what_a_model_wrote_cannot_drive_the_terminal(openmic: Openmic, nasty: Path, command: list[str]) -> None:
    outcome = openmic(*command, "--store", str(nasty))
    assert outcome.code == 0, outcome.err
    assert "good" in outcome.out
    assert not set(outcome.out + outcome.err) & set("\x1b\x07\x9b\u202e\u202c")


def test_json_keeps_what_was_said_and_still_sends_no_escape(openmic: Openmic, nasty: Path) -> None:
    outcome = openmic("transcripts", "show", "ffff", "--store", str(nasty), "--json")
    assert json.loads(outcome.out)["turns"][0]["content"] == NASTY
    assert "\x1b" not in outcome.out


def test_chat_answers_with_the_promoted_adapter(of_run: Openmic, run: WholeRun) -> None:
    answered = json_of(of_run, "chat", "The", "kettle", "broke.", "-n", "3")
    assert answered["input"] == "The kettle broke."
    assert answered["adapter_version"] == 2
    assert len(answered["outputs"]) == 3
    assert len(set(answered["outputs"])) > 1
    plain = of_run("chat", "The kettle broke.", "-n", "3")
    assert plain.code == 0
    assert len(plain.out.splitlines()) == 3


def test_chat_samples_by_its_seed_and_its_adapter(of_run: Openmic) -> None:
    def answers(*options: str) -> list[str]:
        return list(json_of(of_run, "chat", "The kettle broke.", "-n", "2", *options)["outputs"])

    first = answers()
    assert answers() == first
    assert answers("--seed", "1") != first
    assert answers("--version", "0") != first


def test_chat_with_a_version_that_is_not_there_lists_what_is(of_run: Openmic) -> None:
    outcome = of_run("chat", "Hello.", "--version", "7")
    assert outcome.code == 2
    assert "no adapter version 7; there are [0, 1, 2]" in outcome.err


def test_chat_reads_lines_where_no_text_is_given(of_run: Openmic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("The bus was late.\n\nI burned the toast.\n"))
    outcome = of_run("chat", "--json")
    assert outcome.code == 0
    decoder, rest, said = json.JSONDecoder(), outcome.out.strip(), []
    while rest:
        value, end = decoder.raw_decode(rest)
        said.append(value["input"])
        rest = rest[end:].strip()
    assert said == ["The bus was late.", "I burned the toast."]
