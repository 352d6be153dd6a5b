"""The simulated cast: an OpenAI-compatible server that plays teacher, critic and judge by known rubrics.

The default of a laptop without an API key, the test bench, and a research instrument: since the rubrics are known, what
a student learnt can be measured against the truth. It has the skills of two tasks (`skills.py`). Not a claim about what
is funny or plain.
"""

from .process import SimulatedCast
from .settings import SimulatorSettings
from .skill import Assessment, Rubric
from .skills import rubric_for

__all__ = ["Assessment", "Rubric", "SimulatedCast", "SimulatorSettings", "rubric_for"]
