"""Everything that can be known to be wrong before anything is loaded, paid for or written."""

from dataclasses import dataclass

from ..agents.endpoint_check import check_endpoint
from ..agents.task import Task, load_task
from ..core.config import RunConfig
from ..core.errors import StoreError
from ..core.inputs import read_inputs
from ..core.records import Example, Role
from ..store import check_writable
from ..training.student import StudentInfo, inspect_student

ROLES: tuple[Role, ...] = ("teacher", "critic", "judge")


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks found out."""

    task: Task
    examples: list[Example]
    student: StudentInfo
    simulated: bool
    """Whether every large model is the simulated cast, embedded or served elsewhere."""


def check(config: RunConfig) -> Checked:
    """Check a configuration against the world, cheapest first. Writes nothing.

    Raises:
        OpenmicError: the first thing that is wrong, with exit code 2.
    """
    examples = read_inputs(config.inputs)
    task = load_task(config.task)
    check_writable(config.store_url)
    if config.home.exists() and not config.home.is_dir():
        raise StoreError(f"home {str(config.home)!r} is a file, not a folder; set home")
    student = inspect_student(config.student.model)
    return Checked(task, examples, student, check_cast(config))


def check_cast(config: RunConfig) -> bool:
    """Check the endpoint of each role; returns whether all of them are simulated casts."""
    simulated = [
        config.cast.endpoint(role).simulated or check_endpoint(role, config.cast.endpoint(role)) for role in ROLES
    ]
    return all(simulated)
