"""The simulated cast: an OpenAI-compatible server that plays teacher, critic and judge by a known rubric.

The default of a laptop without an API key, the test bench, and a research instrument: since the rubric is known, what
a student learnt can be measured against the truth. Not a claim about what is funny.
"""

from .app import build_app
from .process import SimulatedCast
from .profiles import RUBRICS
from .rubric import Assessment
from .settings import SimulatorSettings

__all__ = ["RUBRICS", "Assessment", "SimulatedCast", "SimulatorSettings", "build_app"]
