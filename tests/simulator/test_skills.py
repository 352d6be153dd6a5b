from itertools import pairwise

import pytest

from openmic.simulator import rubric_for
from openmic.simulator.skill import Skill
from openmic.simulator.skills import MODELS, SKILLS, TEACHER

TEXTS = {
    "humor": ("The neighbour borrowed our ladder.", "The neighbour borrowed our ladder, like a nervous bishop."),
    "plain-language": (
        "Applicants are required to submit the form prior to 3 May.",
        "You must submit the form soon.",
    ),
}


def test_a_rubric_is_found_by_task_and_model() -> None:
    for skill in SKILLS:
        for model in MODELS[1:]:
            rubric = rubric_for(skill.task, model)
            assert rubric is skill.rubrics[model]
            assert rubric.name == model
        assert rubric_for(skill.task, TEACHER) is skill.rubrics["sim-critic"]


def test_a_task_or_model_that_the_cast_does_not_know_has_none() -> None:
    assert rubric_for("sonnets", "sim-critic") is None
    assert rubric_for("humor", "gpt-9") is None


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.task)
def test_the_judges_of_a_skill_share_its_parts_and_differ_in_taste(skill: Skill) -> None:
    source, text = TEXTS[skill.task]
    assert set(skill.rubrics) == set(MODELS) - {TEACHER}
    for rubric in skill.rubrics.values():
        found = rubric.assess(source, text)
        assert tuple(rubric.weights) == tuple(rubric.thresholds) == tuple(found.parts)
        assert sum(rubric.weights.values()) == pytest.approx(1)
        assert rubric.assess(source, "").score == 0
    assert len({rubric.assess(source, text).score for rubric in skill.rubrics.values()}) == len(MODELS) - 1
    assert all(one.weights != other.weights for one, other in pairwise(skill.rubrics.values()))


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.task)
def test_there_is_a_remark_for_every_part(skill: Skill) -> None:
    parts = set(skill.rubrics["sim-critic"].weights)
    remarks = skill.remarks
    assert set(remarks.works) == set(remarks.missing) == set(remarks.better) == parts
    details = remarks.details(*TEXTS[skill.task])
    assert all("{" not in text.format(**details) for text in remarks.missing.values())


def test_tags_and_tasks_are_told_apart() -> None:
    assert len({skill.tag for skill in SKILLS}) == len({skill.task for skill in SKILLS}) == len(SKILLS)
