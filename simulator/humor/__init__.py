"""Humor: retelling a literal sentence so that it is funny and still says the same thing."""

from ..skill import Skill
from .profiles import RUBRICS
from .remarks import REMARKS
from .teacher import demonstrate

HUMOR = Skill(task="humor", tag="sentence", rubrics=RUBRICS, demonstrate=demonstrate, remarks=REMARKS)
