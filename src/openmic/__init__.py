"""openmic: feedback-driven distillation.

A large language model teaches a small one a skill that imitation alone does not transfer, by also being its critic.

These names, and the modules `openmic.testing` and `openmic.types`, are all that anyone outside may use; everything else
is private, and may change without notice.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not Path(__file__).with_name("core").is_dir():
    raise ImportError(
        "src/openmic/core is a link to a folder, and git wrote it as a file, as it does on Windows unless it is told "
        "otherwise: switch on Windows' developer mode, then `git config core.symlinks true` and "
        "`git restore --source=HEAD src` in this clone; or install a wheel, or work in WSL"
    )

if TYPE_CHECKING:  # imported when they are first used, so that `import openmic` takes no time
    from .agents.tasks.task import Task as Task
    from .api import arun as arun
    from .api import best_of as best_of
    from .api import compare as compare
    from .api import criticise as criticise
    from .api import dialogue as dialogue
    from .api import embed as embed
    from .api import gain_over_seeds as gain_over_seeds
    from .api import open_run as open_run
    from .api import run as run
    from .card import critic_card as critic_card
    from .core.config import RunConfig as Config
    from .core.errors import OpenmicError as OpenmicError
    from .evaluation.scorers import Scorer as Scorer
    from .experiments import Experiment as Experiment
    from .experiments import experiment as experiment
    from .run_handle import Run as Run
    from .seams import Critic as Critic
    from .seams import Teacher as Teacher
    from .training.engines.engine import StudentEngine as Engine
    from .training.objectives.base import Objective as Objective
    from .training.standalone import load_student as load_student
    from .training.standalone import train as train

try:
    __version__ = version("openmic")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "unknown (run from source)"

_PLACES = {
    "Config": ("core.config", "RunConfig"),
    "Critic": ("seams", "Critic"),
    "Engine": ("training.engines.engine", "StudentEngine"),
    "Experiment": ("experiments", "Experiment"),
    "Objective": ("training.objectives.base", "Objective"),
    "OpenmicError": ("core.errors", "OpenmicError"),
    "Run": ("run_handle", "Run"),
    "Scorer": ("evaluation.scorers", "Scorer"),
    "Task": ("agents.tasks.task", "Task"),
    "Teacher": ("seams", "Teacher"),
    "arun": ("api", "arun"),
    "best_of": ("api", "best_of"),
    "compare": ("api", "compare"),
    "critic_card": ("card", "critic_card"),
    "criticise": ("api", "criticise"),
    "dialogue": ("api", "dialogue"),
    "embed": ("api", "embed"),
    "experiment": ("experiments", "experiment"),
    "gain_over_seeds": ("api", "gain_over_seeds"),
    "load_student": ("training.standalone", "load_student"),
    "open_run": ("api", "open_run"),
    "run": ("api", "run"),
    "train": ("training.standalone", "train"),
}

__all__ = [
    "Config",
    "Critic",
    "Engine",
    "Experiment",
    "Objective",
    "OpenmicError",
    "Run",
    "Scorer",
    "Task",
    "Teacher",
    "arun",
    "best_of",
    "compare",
    "critic_card",
    "criticise",
    "dialogue",
    "embed",
    "experiment",
    "gain_over_seeds",
    "load_student",
    "open_run",
    "run",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'openmic' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _PLACES[name]
    found = getattr(import_module(f".{module}", __name__), attribute)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
