"""Plain language: rewriting officialese so that anyone understands it."""

from ..skill import Skill
from .profiles import RUBRICS
from .remarks import REMARKS
from .teacher import demonstrate

PLAIN_LANGUAGE = Skill(task="plain-language", tag="notice", rubrics=RUBRICS, demonstrate=demonstrate, remarks=REMARKS)
