"""The skills of the simulated cast, and the models that have them."""

from .humor import HUMOR
from .plain_language import PLAIN_LANGUAGE
from .skill import Rubric, Skill

SKILLS: tuple[Skill, ...] = (HUMOR, PLAIN_LANGUAGE)
"""A new skill is one line here. The first is what a prompt without tags is taken for."""

TEACHER, CRITIC = "sim-teacher", "sim-critic"
MODELS = (TEACHER, CRITIC, "sim-judge", "sim-critic-2", "sim-critic-3")
"""The ids of the simulated models; all but the teacher have a rubric of their own in every skill."""


def rubric_of(skill: Skill, model: str) -> Rubric:
    """The rubric that one of `MODELS` judges by; the teacher, where it is asked, has the critic's."""
    return skill.rubrics[CRITIC if model == TEACHER else model]


def rubric_for(task: str, model: str) -> Rubric | None:
    """The rubric by which a simulated model judges a task; None where the cast has none for it."""
    known = {skill.task: skill for skill in SKILLS}
    return rubric_of(known[task], model) if task in known and model in MODELS else None
