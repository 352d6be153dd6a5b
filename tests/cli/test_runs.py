"""`openmic runs`: the runs of a store, with what came of them."""

import json

from openmic.store import Store

from ..whole_run import WholeRun
from .conftest import Openmic


def test_a_finished_run_is_listed_with_what_it_achieved(of_run: Openmic, run: WholeRun) -> None:
    [listed] = [one for one in json.loads(of_run("runs", "--json").out) if one["kind"] == "campaign"]
    status = json.loads(of_run("status", listed["run"], "--json").out)
    serving = [version for version in status["versions"] if version["promoted"]][-1]
    assert {name: listed[name] for name in ("run", "name", "status", "student")} == {
        name: status[name] for name in ("run", "name", "status", "student")
    }
    assert (listed["version"], listed["win_tie_rate"], listed["ci"]) == (
        serving["version"],
        serving["win_tie_rate"],
        serving["ci"],
    )
    shown = of_run("runs").out
    assert listed["run"] in shown
    assert max(map(len, shown.splitlines())) <= 80 or len(listed["student"]) > 20  # a folder's name may be long


def test_a_store_without_runs_says_how_to_make_one(openmic: Openmic) -> None:
    Store.open("openmic-data/openmic.db").close()
    found = openmic("runs")
    assert (found.code, found.out) == (0, "")
    assert "`openmic run` makes one" in found.err
    assert json.loads(openmic("runs", "--json").out) == []


def test_of_more_runs_than_asked_for_it_is_said(of_run: Openmic) -> None:
    everything = json.loads(of_run("runs", "--json").out)
    some = of_run("runs", "-n", "1", "--json")
    assert json.loads(some.out) == everything[:1]
    assert ("lists more" in of_run("runs", "-n", "1").err) is (len(everything) > 1)
