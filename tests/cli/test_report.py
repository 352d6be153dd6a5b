"""The closing table and the funnel, as people see them."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from openmic import Run
from openmic.cli.funnel import print_funnel
from openmic.cli.rejudge import print_comparison
from openmic.cli.report import print_report, report_console, wrapping_console
from openmic.cli.run import _conclude
from openmic.store import Store, failures
from openmic.store.overview import stage_counts

from ..store import rows


def version(number: int, stage: str, status: str = "promoted", **more: Any) -> dict[str, Any]:
    return {
        "version": number,
        "stage": stage,
        "promoted": status == "promoted",
        "status": status,
        "reason": None,
        "staleness": {},
        "examples": 16,
        "left_out": 0,
        "left_out_why": None,
        "of": 40,
        **more,
    }


JUDGED: dict[str, Any] = {
    "n": 40,
    "win": 4,
    "tie": 10,
    "loss": 26,
    "win_tie_rate": 0.35,
    "ci": [0.2, 0.5],
    "length_ratio": 1.1,
    "distinct_2": 0.8,
    "scores": {},
    "shares": [],
    "unscored": {},
}
EMPTY_FUNNEL: dict[str, Any] = {
    "demonstrations": {"made": 0, "rejected": {}, "valid": 0},
    "drafts": {"made": 0, "rejected": {}, "duplicates": 0, "valid": 0},
    "dialogues": {"drafted": 0, "no_valid_draft": 0, "one_valid_draft": 0, "no_similar_length": 0},
    "revisions": {"made": 0, "rejected": {}, "unchanged": 0, "accepted": 0},
    "comparisons": {},
    "preferences": {},
}


NOTHING_SPENT: dict[str, Any] = {
    "calls": 0,
    "tokens": 0,
    "usd": 0,
    "minutes": 0.0,
    "prices": [],
    "unpriced": {},
    "budget": {},
    "estimate": None,
    "foreseen_minutes": None,
}


def status_of(**more: Any) -> dict[str, Any]:
    return {
        "cast": {"judge": "large"},
        "models": {"judge": "large"},
        "source_run": None,
        "duplicate_inputs": 0,
        "trackers": {},
        "confidence": 0.95,
        "dialogues": {"finished": 6, "failed": 0, "pending": 0},
        "failures": [],
        "notes": [],
        "stages": {},
        "little_learned": None,
        "revisions": 2,
        "turns": 60,
        "versions": [],
        "gain": None,
        "headline": {
            "sentence": "no version was judged on the test inputs yet",
            "figures": [],
            "rule": "",
            "samples": [],
        },
        "funnel": EMPTY_FUNNEL,
        "verdict_style": "label",
        "verdicts": {"count": 0, "unanswered": {}},
        "sampled_labels": {},
        "llm": {},
        "cost": NOTHING_SPENT,
        "taken_over": None,
        **more,
    }


def printed(capsys: pytest.CaptureFixture[str], **more: Any) -> list[str]:
    print_report(status_of(**more))
    return capsys.readouterr().out.splitlines()


def test_a_version_that_was_not_evaluated_has_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, versions=[version(0, "no adapter"), version(1, "imitation", **JUDGED)])
    [without] = [line for line in lines if line.startswith("v0")]
    [judged] = [line for line in lines if line.startswith("v1")]
    assert without.split() == ["v0", "no", "adapter", *"-------"]
    assert judged.split() == ["v1", "imitation", "4", "10", "26", "35.0%", "20.0%", "to", "50.0%", "1.10", "0.80"]


def test_a_judge_that_called_everything_a_tie_decided_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    ties = JUDGED | {"win": 0, "tie": 40, "loss": 0, "win_tie_rate": 1.0, "ci": [1.0, 1.0]}
    both = printed(capsys, versions=[version(0, "none", **ties), version(1, "imitation", **ties)])
    [row] = [line for line in both if line.startswith("v1")]
    assert row.split() == ["v1", "imitation", "0", "40", "0", "nothing", "decided", "-", "1.10", "0.80"]


def test_each_scorer_is_a_column_and_where_it_failed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    scored = {"scores": {"rubric": 0.672, "[reward]": 1.23456}, "shares": ["rubric"], "unscored": {"[reward]": 3}}
    lines = printed(
        capsys, versions=[version(0, "none"), version(1, "imitation", **JUDGED), version(2, "round", **JUDGED | scored)]
    )
    [heading] = [line for line in lines if line.startswith("version")]
    rows = [line.split()[-4:] for line in lines if line[:2] in {"v0", "v1", "v2"} and "no score" not in line]
    assert heading.split()[-4:] == ["rubric", "[reward]", "length", "distinct-2"]
    assert rows == [["-"] * 4, ["-", "-", "1.10", "0.80"], ["67.2%", "1.23", "1.10", "0.80"]]
    assert "v2: 3 of 40 have no score of [reward]" in lines


def test_scores_that_make_the_table_too_wide_have_one_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["rubric", "faithfulness", "exclaims", "reward_model", "composite", "words"]
    scored = {"scores": dict.fromkeys(names, 0.25), "shares": ["rubric"]}
    lines = printed(capsys, versions=[version(0, "no adapter"), version(1, "imitation", **JUDGED | scored)])
    headings = [line.split() for line in lines if line.startswith("version")]
    assert headings[0][-2:] == ["length", "distinct-2"]
    assert headings[1] == ["version", *names]
    rows = [line.split() for line in lines if line.startswith("v1")]
    assert rows[0][-3:] == ["50.0%", "1.10", "0.80"]
    assert rows[1] == ["v1", "25.0%", *["0.25"] * 5]
    assert ["v0", *["-"] * 6] in [line.split() for line in lines]


@pytest.mark.parametrize(("confidence", "heading"), [(0.95, "95% interval"), (0.9, "90% "), (0.995, "99.5% interval")])
def test_intervals_are_of_the_runs_confidence(
    capsys: pytest.CaptureFixture[str], confidence: float, heading: str
) -> None:
    lines = printed(capsys, confidence=confidence, versions=[version(1, "imitation", **JUDGED)])
    assert sum(heading in line for line in lines) == 1


def test_the_sentence_that_matters_comes_first_and_samples_stand_side_by_side(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "so long " * 100
    outputs = [
        {"version": 0, "text": "", "outcome": "loss", "dialogue": "d0"},
        {"version": 2, "text": f"[bold]\x1b[2J {long}end", "outcome": "win", "dialogue": "d2"},
    ]
    samples = [{"input": "in\nput", "teacher": "of the teacher", "outputs": outputs}]
    first = {
        "sentence": "feedback [beats] it",
        "figures": ["length 1.00 → 2.00"],
        "rule": "by rule",
        "samples": samples,
    }
    lines = printed(capsys, versions=[version(1, "imitation", **JUDGED)], headline=first)
    assert lines[:2] == ["feedback [beats] it", "length 1.00 → 2.00"]
    at = lines.index("Side by side (by rule)")
    told = [line.rstrip() for line in lines[at + 1 :]]
    assert told[:2] == ["input    in put", "v0 loss  (nothing)"]
    assert told[2].startswith("v2 win   [bold]")
    assert "\x1b" not in "".join(told)
    assert any(line.endswith("end") for line in told)
    assert "teacher  of the teacher" in told


def test_a_version_that_was_rolled_back_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    versions = [version(2, "round 1", "rolled_back", reason="it was [worse]"), version(3, "round 1 (2)", reason="fine")]
    lines = printed(capsys, versions=versions)
    assert any(line.startswith("v2") and line.endswith("rolled back") for line in lines)
    assert "v2 was rolled back: it was [worse]" in lines
    assert not any("fine" in line for line in lines)


def test_how_stale_it_was_what_a_version_learned_from_is_said_where_it_was_stale(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fresh, stale = version(1, "round 1", staleness={"0": 7}), version(2, "round 2", staleness={"0": 120, "1": 13})
    lines = printed(capsys, versions=[version(0, "no adapter"), fresh, stale])
    assert [line for line in lines if "preferences" in line] == [
        "v2 was trained on 120 preferences of the version that served, 13 of 1 before it"
    ]


def test_a_run_that_works_on_another_says_on_which_and_has_no_table_without_versions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = printed(capsys, source_run="RUN0")
    assert lines[0] == "from run RUN0"
    assert not any("against teacher" in line for line in lines)
    assert "6 finished" in lines[-1]
    assert not any("from run" in line for line in printed(capsys))


def test_what_was_too_long_to_be_learned_from_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    imitation = version(1, "imitation", left_out=4, left_out_why="too long for imitation.max_length=256 or more")
    later = version(2, "round 1", left_out=1, left_out_why="too long for training.max_length=512 or more")
    print_report(status_of(versions=[version(0, "no adapter"), imitation, later]))
    said = capsys.readouterr().out
    assert "v1 learned from 16 of 20 examples: 4 left out, too long for imitation.max_length=256 or" in said
    assert "v2 learned from 16 of 17 examples: 1 left out, too long for training.max_length=512" in said
    assert "v0 learned" not in said


def test_what_it_took_that_labels_were_sampled_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    sampled = {"critic": {"comparisons": 30, "extra_calls": 240}}
    said = (
        "the critic's labels of 30 comparisons were sampled, since log-probabilities were missing or too little of "
        "them was of 1 and 2; that took 240 more calls (verdict.samples)"
    )
    assert said in printed(capsys, sampled_labels=sampled)
    assert not any("sampled" in line for line in printed(capsys))


def test_the_funnel_is_one_line_for_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        **EMPTY_FUNNEL,
        "drafts": {"made": 180, "rejected": {"cut off": 5, "copy of the input": 4}, "duplicates": 3, "valid": 168},
        "dialogues": {"drafted": 30, "no_valid_draft": 1, "one_valid_draft": 0, "no_similar_length": 2},
        "revisions": {"made": 20, "rejected": {}, "unchanged": 2, "accepted": 8},
        "comparisons": {"candidates": {"made": 27, "ties": 4, "inconsistent": 3}},
        "preferences": {
            "candidates": {
                "made": 20,
                "outside_length": 1,
                "too_stale": 3,
                "too_long": 0,
                "switched_off": 0,
                "trained_on": 16,
            },
            "teacher": {
                "made": 2,
                "outside_length": 0,
                "too_stale": 0,
                "too_long": 4,
                "switched_off": 0,
                "trained_on": 2,
            },
        },
    }
    verdicts = {"count": 27, "consistency": 0.8, "position_bias": {"first": 0.15, "second": 0.05}, "margin": 0.4567}
    verdicts |= {"unanswered": {}}
    print_funnel(report_console(), status_of(funnel=found, verdicts=verdicts))
    assert capsys.readouterr().out.splitlines() == [
        "funnel:",
        "  drafts       180 -> 168 valid (5 cut off, 4 copy of the input, 3 duplicate)",
        "  dialogues    30 -> 27 with a pair (1 no valid draft, 2 no two of similar length)",
        "  revisions    20 -> 8 accepted (2 unchanged)",
        "  candidates   27 compared (4 tie, 3 order-inconsistent) -> 20 preferred (1 outside the length filter, "
        "3 too stale) -> 16 trained on",
        "  teacher      2 preferred (4 too long to train on) -> 2 trained on",
        "  critic       27 verdicts, both orders agree in 80.0% (15.0% go to the text shown first, 5.0% to the "
        "second), mean margin 0.46",
    ]


def test_where_nothing_was_said_there_is_no_block_of_the_funnel(capsys: pytest.CaptureFixture[str]) -> None:
    print_funnel(report_console(), status_of())
    assert capsys.readouterr().out == ""


def test_on_a_terminal_the_funnel_is_broken_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    rejected = {"cut off": 5, "copy of the input": 4, "over-long": 3, "too short": 2}
    drafts = {"made": 180, "rejected": rejected, "duplicates": 0, "valid": 166}
    print_funnel(wrapping_console(), status_of(funnel=EMPTY_FUNNEL | {"drafts": drafts}))
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "funnel:",
        "  drafts       180 -> 166 valid (5 cut off, 4 copy of the",
        "               input, 3 over-long, 2 too short)",
    ]


def test_a_gate_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    drafts = {"made": 1, "rejected": {"\x1b[2Jodd": 1}, "duplicates": 0, "valid": 0}
    print_funnel(report_console(), status_of(funnel=EMPTY_FUNNEL | {"drafts": drafts}))
    assert "1 -> 0 valid (1 odd)" in capsys.readouterr().out


def test_what_failed_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    failures = [{"stage": "collect", "count": 9 - place, "error": f"reason [{place}]\x1b[2J"} for place in range(5)]
    lines = printed(capsys, failures=failures, stages={"collect": {"finished": 5, "failed": 35, "pending": 0}})
    assert lines[-4:] == [
        "9 of 40 failed in collect: reason [0]",
        "8 of 40 failed in collect: reason [1]",
        "7 of 40 failed in collect: reason [2]",
        "11 more failed for other reasons",
    ]


def test_a_rejudging_tells_what_failed_when_it_ends_and_when_it_was_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"student": {"model": "tiny"}}
    cast = {"simulated": True, "critic": "sim-critic"}
    with Store.open(str(tmp_path / "store.db")) as store:
        store.add(rows.run(config=config, cast=cast))
        store.add(
            rows.run(id="RUN2", kind="rejudge", source_run_id="RUN1", status="finished", config=config, cast=cast)
        )
        for number in range(5):
            store.add(rows.example(id=f"e{number}", text=str(number)))
            more = {"status": "failed", "error": f"reason {'abcde'[number]}"}
            store.add(rows.dialogue(id=f"d{number}", run_id="RUN2", stage="rejudge", example_id=f"e{number}", **more))
        row = store.resolve_run("RUN2")
        found = {"stages": stage_counts(store, row), "failures": failures(store, row)}
    said = [*(f"  1 of 5 failed in rejudge: reason {letter}" for letter in "abc"), "  2 more failed for other reasons"]
    with pytest.raises(typer.Exit):
        _conclude(Run(row, store.address), as_json=False)
    assert capsys.readouterr().out.splitlines() == ["run RUN2 (rejudge of RUN1) is finished", *said]
    judged = {"run": "RUN2", "source_run": "RUN1", "n": 1, "critic": {"old": "a", "new": "b"}, "confidence": 0.95}
    agreed = {"agreement": 1.0, "kappa": None, "decided_agreement": None, "decided": 0, "ci": [1.0, 1.0]}
    both = {"consistency": {"old": 1.0, "new": 1.0}, "preferences": {"old": 0, "new": 0}}
    print_comparison({**judged, **agreed, **both, **found}, "")
    assert capsys.readouterr().out.splitlines()[1:5] == said


def test_what_was_turned_away_and_what_was_not_answered_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    written = {"made": 9, "rejected": {"preamble": 2, "cut off": 1}, "valid": 6}
    unanswered = {"critic": 0.31, "judge": 0.0, "jury": 1 / 3000}
    status = {"funnel": EMPTY_FUNNEL | {"demonstrations": written}, "verdicts": {"count": 0, "unanswered": unanswered}}
    lines = "\n".join(printed(capsys, **status))
    assert "teacher: 3 of 9 texts were turned away: 2 preamble, 1 cut off" in lines
    assert "the critic did not answer the question in 31.0% of comparisons" in lines
    assert "the jury did not answer the question in under 0.1% of comparisons" in lines
    assert "name a larger model, or set verdict.style to reason" in lines
    assert "the judge did not" not in lines
    print_report(status_of(**status, verdict_style="reason"), funnel=True)
    said = capsys.readouterr().out
    assert "teacher      9 -> 6 valid (2 preamble, 1 cut off)" in said
    assert "turned away" not in said
    assert "name a larger model\n" in said


def test_inputs_that_were_not_judged_are_missing_from_the_figures_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    half = JUDGED | {"n": 31}
    stages = {"evaluate": {"finished": 71, "failed": 9, "pending": 0}}
    failures = [{"stage": "evaluate", "count": 9, "error": "EndpointError: [judge] is down"}]
    versions = [version(1, "imitation", **JUDGED), version(2, "round 1", **half)]
    lines = printed(capsys, versions=versions, stages=stages, failures=failures)
    assert any("(31 to 40 of 40 held-out inputs, both orders)" in line for line in lines)
    assert "9 of 80 failed in evaluate: EndpointError: [judge] is down" in lines


def test_an_evaluation_that_goes_on_shows_no_figure(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, versions=[version(1, "imitation", **JUDGED), version(2, "round 1", judged=3)])
    assert any(line.startswith("v2 is not judged to the end: 3 of 40 held-out inputs") for line in lines)


def test_what_must_be_known_of_the_cast_stands_under_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, notes=["the judge is the [critic]", "simulated: teacher"])
    assert lines[-2:] == ["note: the judge is the [critic]", "note: simulated: teacher"]


def took(tokens: int, **more: Any) -> dict[str, Any]:
    taken = {"calls": 10, "input_tokens": tokens, "output_tokens": 10, "estimated": 0, "batched": 0, "usd": None}
    return {**taken, **more}


def test_what_was_spent_stands_beside_what_was_estimated_and_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    kind = {"calls": 30, "input_tokens": 9_000, "output_tokens": 1_000}
    cost = {
        **NOTHING_SPENT,
        "calls": 20,
        "tokens": 4_020,
        "usd": 0.0125,
        "minutes": 3.25,
        "prices": ["a list of that day"],
        "budget": {"usd": 5.0},
        "estimate": {"likely": {**kind, "usd": 0.05}, "at_most": {**kind, "usd": 0.25}},
        "foreseen_minutes": 2.5,
    }
    lines = printed(capsys, cost=cost, llm={"critic": took(3_000, usd=0.01), "judge": took(1_000, usd=0.0025)})
    assert lines[-4:] == [
        "spent: critic 3,010 tokens of 10 replies ($0.0100); judge 1,010 tokens of 10 replies ($0.0025); in all 4,020 "
        "tokens ($0.0125), 3.2 min",
        "estimated beforehand: likely 10,000 tokens of 30 replies ($0.0500), at most 10,000 tokens of 30 replies "
        "($0.2500), in 2.5 min or more",
        "prices: a list of that day",
        "budget: usd 5",
    ]


def test_what_nobody_knows_of_prices_and_tokens_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    cost = {**NOTHING_SPENT, "calls": 10, "tokens": 510, "usd": None, "unpriced": {"mine": "no list has it"}}
    lines = printed(capsys, cost=cost, llm={"critic": took(500, estimated=7, batched=4)})
    assert "4 of the replies came in batches, at half the price" in lines
    assert "$" not in "".join(lines)
    assert "tokens of 7 replies are estimated, by four characters each: their endpoint counted none" in lines
    assert "what mine charges is not known: no list has it" in lines


def test_a_terminal_that_is_too_narrow_for_the_table_gets_a_sentence_for_each_version(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    scored = {"scores": {"rubric": 0.672}, "shares": ["rubric"]}
    shown = printed(capsys, versions=[version(0, "no adapter"), version(1, "imitation", **JUDGED | scored)])
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in shown]
    assert all(len(line) <= 60 for line in lines)
    told = " ".join(lines)
    assert "v0, no adapter: not judged" in told
    assert "v1, imitation: 35.0% (20.0% to 50.0%), 4 won, 10 tied, 26 lost; rubric 67.2%, length 1.10" in told
