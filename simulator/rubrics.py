"""The simulated cast's rubrics as scorers: what a student learnt, measured by the standard it was taught by."""

from collections.abc import Mapping, Sequence

from ..core.errors import ConfigError
from .skills import MODELS, SKILLS, rubric_for


class SimulatedRubric:
    """Scores outputs by the rubric that a simulated model judges by: 1 where an output meets it, else 0."""

    def __init__(self, skill: str = "humor", profile: str = "sim-judge", *, graded: bool = False) -> None:
        """Looks the rubric up.

        Args:
            skill: The task, such as humor or plain-language.
            profile: The simulated model whose standard it is.
            graded: Whether to give the rubric's score from 0 to 1 instead of whether the rubric is met.

        Raises:
            ConfigError: there is no such rubric.
        """
        rubric = rubric_for(skill, profile)
        if rubric is None:
            raise ConfigError(
                f"simulated_rubric: there is no rubric of {profile!r} for {skill!r}; skills are "
                f"{', '.join(known.task for known in SKILLS)}, profiles are {', '.join(MODELS)}"
            )
        self.name = f"{profile} on {skill}"
        self._rubric, self._graded = rubric, graded

    def __call__(self, source: str | Mapping[str, str], outputs: Sequence[str]) -> list[float]:
        """Scores each output for itself; of an input with several fields all of them together are the source."""
        text = source if isinstance(source, str) else "\n".join(source.values())
        found = [self._rubric.assess(text, output) for output in outputs]
        return [one.score if self._graded else float(one.meets) for one in found]
