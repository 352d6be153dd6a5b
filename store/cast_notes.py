"""What must be said of a run's cast wherever its figures or texts are shown."""

from .tables.transcript import Run

SEATS = ("teacher", "references", "critic", "jury", "judge")
JUDGE_IS_CRITIC = "the judge is the critic itself, so figures overstate progress; set cast.judge"


def simulated_seats(run: Run) -> list[str]:
    """The seats of the cast that openmic's simulated models sit on, in a fixed order; all, where all were."""
    taken = [seat for seat in SEATS if run.cast.get(seat)]
    if run.cast.get("simulated"):
        return taken
    return [seat for seat in taken if any(_simulated(name) for name in _names(run.cast[seat]))]


def cast_notes(run: Run) -> list[str]:
    """One line for each: figures of simulated models, and of a judge that the student was trained against."""
    seats, notes = simulated_seats(run), []
    if run.cast.get("simulated"):
        notes.append("these figures are of the simulated cast: they show that the loop works, not how good anything is")
    elif seats:
        notes.append(
            f"simulated: {', '.join(seats)}; what follows from that shows that the loop works, not how good anything is"
        )
    if run.cast.get("judge_is_critic"):
        notes.append(JUDGE_IS_CRITIC)
    return notes


def _names(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _simulated(name: str) -> bool:
    """Whether this is what the simulated cast calls its models, here or served elsewhere."""
    return name.startswith("sim-")
