"""What must be said of a run's cast wherever its figures or texts are shown."""

from collections.abc import Mapping
from typing import Any

from ..core.config import SIMULATED_PREFIX

SEATS = ("teacher", "references", "critic", "jury", "judge")
JUDGE_IS_CRITIC = "the judge is the critic itself, so figures overstate progress"


def simulated_seats(cast: Mapping[str, Any]) -> list[str]:
    """The seats of the cast that openmic's simulated models sit on, in a fixed order; all, where all were."""
    taken = [seat for seat in SEATS if cast.get(seat)]
    if cast.get("simulated"):
        return taken
    return [seat for seat in taken if any(_simulated(name) for name in _names(cast[seat]))]


def cast_notes(cast: Mapping[str, Any]) -> list[str]:
    """One line for each: figures of simulated models, and of a judge that the student was trained against.

    Args:
        cast: As `Run.cast` holds it.
    """
    seats, notes = simulated_seats(cast), []
    if cast.get("simulated"):
        notes.append("figures are of the simulated cast: they show that the loop works, not how good anything is")
    elif seats:
        notes.append(
            f"simulated: {', '.join(seats)}; what follows from that shows that the loop works, not how good anything is"
        )
    if cast.get("judge_is_critic"):
        notes.append(f"{JUDGE_IS_CRITIC}; set cast.judge")
    return notes


def _names(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _simulated(name: str) -> bool:
    """Whether this is what the simulated cast calls its models, here or served elsewhere."""
    return name.startswith(SIMULATED_PREFIX)
