import json
from collections.abc import Iterable

import pytest

from openmic.core.config import EvaluationSettings
from openmic.core.plugs import Plug
from openmic.core.records import JudgedOutput, Outcome
from openmic.evaluation.bootstrap import bootstrap_mean
from openmic.evaluation.intervals import unvaried
from openmic.evaluation.shown import score_columns, shown_score
from openmic.evaluation.summary import gain, summarize

SETTINGS = EvaluationSettings(bootstrap_samples=500)
NONE_OF_3 = unvaried(0.0, 3, confidence=0.95, within=(-1, 1))
OUTCOMES: dict[str, Outcome] = {"w": "win", "t": "tie", "l": "loss"}


def judged(outcomes: Iterable[str], start: int = 0, **scores: float) -> list[JudgedOutput]:
    """One output per letter (w, t or l), the inputs numbered from `start`."""
    return [
        JudgedOutput(
            f"input {number}",
            "the bus",
            f"the bus number {number}",
            "a bus",
            OUTCOMES[letter],
            letter != "t",
            length_ratio=1.5,
            scores=scores,
        )
        for number, letter in enumerate(outcomes, start)
    ]


def test_wins_ties_and_losses_are_counted() -> None:
    summary = summarize(judged("wwwttlllll"), SETTINGS, 3)
    assert (summary.n, summary.win, summary.tie, summary.loss) == (10, 3, 2, 5)
    assert summary.win_tie_rate == pytest.approx(0.5)
    assert summary.consistency == pytest.approx(0.8)
    assert summary.length_ratio == pytest.approx(1.5)


def test_the_interval_is_the_bootstrap_of_the_win_tie_rate() -> None:
    summary = summarize(judged("wwwttlllll"), SETTINGS, 3)
    expected = bootstrap_mean([1.0] * 5 + [0.0] * 5, confidence=0.95, samples=500, seed=3)
    assert summary.ci == (expected.low, expected.high)
    assert 0 <= summary.ci[0] < 0.5 < summary.ci[1] <= 1


def test_the_settings_say_how_sure_the_interval_is() -> None:
    outputs = judged("wwwttlllll" * 4)
    wide, narrow = (
        summarize(outputs, EvaluationSettings(bootstrap_samples=500, confidence=share), 3).ci for share in (0.99, 0.5)
    )
    assert wide[1] - wide[0] > narrow[1] - narrow[0] > 0


@pytest.mark.parametrize(("outcomes", "rate"), [("www", 1.0), ("ttt", 1.0), ("lll", 0.0), ("l", 0.0)])
def test_a_tie_counts_like_a_win_in_the_rate(outcomes: str, rate: float) -> None:
    summary = summarize(judged(outcomes), SETTINGS, 3)
    assert summary.win_tie_rate == rate
    assert rate in summary.ci
    assert 0.5 < summary.ci[1] - summary.ci[0] < 1  # three inputs, or one, say little, however they agree


def test_scores_are_means_over_the_outputs_that_have_one_in_the_configurations_order() -> None:
    settings = EvaluationSettings(
        bootstrap_samples=500,
        scorers=(Plug(use="mine:reward"), Plug(use="simulated_rubric", name="rubric"), Plug(use="length")),
    )
    mixed = judged("w", rubric=1, reward=2.5) + judged("wwl", 1, rubric=0, reward=-1.5) + judged("ll", 4, reward=0)
    summary = summarize(mixed, settings, 3)
    assert list(summary.scores.items()) == [("reward", pytest.approx(-2 / 6)), ("rubric", pytest.approx(0.25))]
    assert summary.shares == ["rubric"]
    assert summary.unscored == {"rubric": 2, "length": 6}


def test_without_scorers_there_are_no_scores() -> None:
    summary = summarize(judged("wl", forgotten=1), SETTINGS, 3)
    assert (summary.scores, summary.shares, summary.unscored) == ({}, [], {})


def test_a_table_has_a_column_for_every_scorer_and_shares_where_all_versions_have_them() -> None:
    first = {"scores": {"rubric": 0.0, "graded": 0.0}, "shares": ["rubric", "graded"]}
    second = {"scores": {"rubric": 0.5, "graded": 0.31, "late": 12345.6}, "shares": ["rubric"]}
    assert score_columns([{}, first, second]) == {"rubric": True, "graded": False, "late": False}
    assert [shown_score(value, share=share) for value, share in ((0.5, True), (0.3149, False), (None, True))] == [
        "50.0%",
        "0.315",
        "-",
    ]


def test_distinct_2_is_over_all_outputs() -> None:
    assert summarize(judged("ww"), SETTINGS, 3).distinct_2 == pytest.approx(4 / 6)  # the bus, bus number: twice


def test_a_summary_can_be_written_as_json() -> None:
    summary = summarize(judged("wtl", rubric=1), SETTINGS, 3)
    written = json.loads(json.dumps(summary.as_json()))
    assert written["ci"] == list(summary.ci)
    assert (written["n"], written["win"], written["tie"], written["loss"]) == (3, 1, 1, 1)
    assert set(written) == {
        "n", "win", "tie", "loss", "win_tie_rate", "ci", "consistency", "length_ratio", "distinct_2", "scores",
        "shares", "unscored",
    }  # fmt: skip


def test_the_gain_is_the_paired_difference_in_win_tie_rate() -> None:
    found = gain(judged("lllllwwwtt"), judged("lwwwwwwwtt"), SETTINGS, 3)
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert 0 < found.low < 0.4 < found.high < 1


def test_a_win_that_becomes_a_tie_is_neither_gain_nor_loss() -> None:
    assert gain(judged("wwl"), judged("ttl"), SETTINGS, 3) == NONE_OF_3


def test_a_version_that_got_worse_has_a_gain_below_nothing() -> None:
    found = gain(judged("w" * 20), judged("w" * 5 + "l" * 15), SETTINGS, 3)
    assert found is not None
    assert found.value == pytest.approx(-0.75)
    assert found.high < 0


def test_inputs_that_one_version_alone_was_judged_on_do_not_count() -> None:
    before, after = judged("llll" + "wwww"), judged("wwww" + "llll" * 5, start=4)  # inputs 4 to 7 are shared
    found = gain(before, after, SETTINGS, 3)
    assert found is not None
    assert (found.value, found.high) == (0.0, -found.low)
    assert gain(before[:4], after, SETTINGS, 3) is None
    assert gain([], after, SETTINGS, 3) is None


def test_the_order_of_the_outputs_is_no_matter_for_the_pairs() -> None:
    before, after = judged("wlwlwlwlll"), judged("wlwlwlwlll")[::-1]
    found = gain(before, after, SETTINGS, 3)
    assert found is not None
    assert found.value == 0.0
    assert gain(judged("llww"), judged("wlww"), SETTINGS, 3) == gain(judged("llww")[::-1], judged("wlww"), SETTINGS, 3)
