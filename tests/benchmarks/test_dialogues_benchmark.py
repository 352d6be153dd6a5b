"""The benchmark of dialogues does what it says, in its quick form; its figures mean nothing here."""

import pytest

from .test_pool_benchmarks import quick


def test_dialogues_are_set_against_the_bound_of_their_own_paths() -> None:
    result = quick("dialogues")
    [row] = result["parts"]["latencies"]
    assert row["dialogues"] == result["parts"]["at_once"] == 64
    # A comparison, a critique, another comparison, and a demonstration, which is asked for up to three times.
    assert 2 <= row["path"] <= 6
    assert result["value"] == pytest.approx(row["dialogues/s"] / row["bound"])
    assert 0 < result["value"] < 1
    # What the driver's processor did is a part of the time that all took: dialogues/s is the inverse of that.
    assert row["CPU share"] == pytest.approx(row["CPU ms/dialogue"] / 1000 * row["dialogues/s"])
    assert row["CPU ms/dialogue"] > 0


def test_what_dialogues_leave_behind_is_looked_at_while_they_go_on() -> None:
    parts = quick("scale_in_time")["parts"]
    assert [row["dialogues"] for row in parts["looks"]] == [32, 64]
    for row in parts["looks"]:
        assert row["RSS MB"] > 50
        assert row["descriptors"] > 10
        assert row["store MB"] + row["log MB"] > 0.1
        assert 0 < row["status s"] < row["command s"]
    assert parts["turns"] >= 64 * 4
    assert parts["CPU ms/dialogue"] > 0


def test_commands_that_only_look_are_timed_each_in_a_process_of_its_own() -> None:
    rows = quick("commands")["parts"]["commands"]
    assert [row["command"] for row in rows] == ["--help", "status", "runs", "transcripts list"]
    assert all(0 < row["least CPU s"] <= row["CPU s"] for row in rows)
