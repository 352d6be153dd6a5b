import pytest

from openmic.core.errors import ConfigError
from openmic.simulator.rubrics import SimulatedRubric
from openmic.simulator.skills import rubric_for

SENTENCE = "The ticket machine rejected my coins."
OUTPUTS = [
    "The ticket machine rejected my coins, and the machine has since hired a publicist.",
    "The ticket machine rejected my coins.",
    "",
]


def test_an_output_meets_the_rubric_or_does_not() -> None:
    rubric = rubric_for("humor", "sim-critic")
    assert rubric is not None
    wanted = [float(rubric.assess(SENTENCE, output).meets) for output in OUTPUTS]
    assert SimulatedRubric("humor", "sim-critic")(SENTENCE, OUTPUTS) == wanted == [1.0, 0.0, 0.0]


def test_a_graded_rubric_gives_its_score() -> None:
    rubric = rubric_for("plain-language", "sim-judge")
    assert rubric is not None
    graded = SimulatedRubric("plain-language", graded=True)
    assert graded({"notice": SENTENCE}, OUTPUTS) == [rubric.assess(SENTENCE, output).score for output in OUTPUTS]


@pytest.mark.parametrize(("skill", "profile"), [("sonnets", "sim-judge"), ("humor", "gpt-9")])
def test_rubrics_there_are_none_of(skill: str, profile: str) -> None:
    with pytest.raises(ConfigError, match=r"there is no rubric .* skills are humor, plain-language, profiles are"):
        SimulatedRubric(skill, profile)
