"""What a report says of a run."""

from openmic.store import Store

from ...store.judged import judged_run
from ...store.rows import example, run
from ..conftest import Openmic


def test_of_a_run_that_was_not_judged_nothing_is_said_of_its_test_outputs(openmic: Openmic) -> None:
    with Store.open("openmic-data/openmic.db") as store:
        store.add(run(id="NONE", status="failed", config={"student": {"model": "tiny"}}, cast={"simulated": False}))
    said = openmic("report", "NONE").out
    assert said.startswith("# Run first\n\nno version was judged on the test inputs yet.\n\n")
    assert "test outputs" not in said
    assert "on test inputs" not in said


def test_where_the_critic_did_not_look_beside_the_judge_that_is_said(openmic: Openmic) -> None:
    with Store.open("openmic-data/openmic.db") as store:
        store.add(example(id="in0", text="input 0"), example(id="in1", text="input 1"))
        judged_run(store, "ONE", "dpo", "wl")
    assert "*The critic did not look at the test outputs (evaluation.critic).*" in openmic("report", "ONE").out
