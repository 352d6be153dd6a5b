from collections.abc import Sequence

from openmic.core.config import EvaluationSettings
from openmic.core.records import JudgedOutput, Outcome
from openmic.graph.stages.promotion import UNJUDGED, decide

VARIED = ["a cat sang to the moon", "nine ducks ran for mayor", "our kettle wrote a novel", "the bus took up yoga"]
SETTINGS = EvaluationSettings(rollback_margin=0.05, diversity_floor=0.7, bootstrap_samples=500)


def outputs(outcomes: Sequence[Outcome], texts: list[str] = VARIED) -> list[JudgedOutput]:
    return [JudgedOutput(f"e{i}", "", texts[i % len(texts)], "", outcome, True) for i, outcome in enumerate(outcomes)]


def test_a_better_adapter_is_promoted_with_the_figures() -> None:
    decision = decide(outputs(["loss"] * 20), outputs(["win"] * 20), SETTINGS, seed=1)
    assert decision.promoted
    assert decision.reason == "gain on 20 dev inputs +1.00 [+0.68, +1.00], distinct-2 0.20 to 0.20"


def test_where_all_are_ties_it_is_said_that_nothing_was_decided() -> None:
    assert (
        "nothing decided since every comparison was a tie"
        in decide(outputs(["tie"] * 4), outputs(["tie"] * 4), SETTINGS, seed=1).reason
    )
    assert "nothing decided" not in decide(outputs(["tie"] * 4), outputs(["tie", "win"]), SETTINGS, seed=1).reason


def test_a_fall_within_the_interval_is_no_reason_to_roll_back() -> None:
    before, after = outputs(["win", "loss"] * 10), outputs(["loss", "win", "loss", "loss"] * 5)
    assert decide(before, after, SETTINGS, seed=1).promoted


def test_a_fall_beyond_interval_and_margin_is_rolled_back() -> None:
    before, after = outputs(["win"] * 20), [*outputs(["loss"] * 18), *outputs(["win"] * 2)]
    decision = decide(before, after, SETTINGS, seed=1)
    assert not decision.promoted
    assert "worse beyond the margin of 0.05" in decision.reason
    lenient = SETTINGS.model_copy(update={"rollback_margin": 1.0})
    assert decide(outputs(["win"] * 20), outputs(["loss"] * 20), lenient, seed=1).promoted


def test_a_student_that_tells_one_joke_is_rolled_back_however_often_it_wins() -> None:
    decision = decide(outputs(["loss"] * 4), outputs(["win"] * 4, VARIED[:1]), SETTINGS, seed=1)
    assert not decision.promoted
    assert "diversity fell below 70%" in decision.reason


def test_without_shared_inputs_there_is_nothing_to_hold_against_it() -> None:
    assert decide([], outputs(["loss"]), SETTINGS, seed=1) == UNJUDGED
