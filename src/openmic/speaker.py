"""What `Run.student` returns: a student that is spoken to as in its run."""

from typing import Any


class Speaker:
    """A run's student: answers inputs, with the task's prompt before it and its cleaning behind it."""

    def __init__(self, student: Any, task: Any, usual: dict[str, Any]) -> None:
        """`usual` is how it samples where nothing else is asked."""
        from .agents.cast import StudentAgent

        self._student, self._task, self._usual, self._agent = student, task, usual, StudentAgent(task, 0)

    def __call__(self, inputs: Any, *, n: int | None = None, **sampling: Any) -> Any:
        """Generate an output for an input, or a list for a list; with `n`, each is n samples.

        Args:
            inputs: A text, a mapping of fields, or a list of either.
            n: How many samples of each. None: one, not in a list.
            sampling: `temperature`, `top_p`, `max_tokens`, `seed`. Default: as the run's evaluations sample, with the
                length that the run settled.

        Raises:
            ConfigError: an input is neither a text nor texts by name, or cannot be answered so.
            GenerationError: an input is too long for the student, or it is closed.
        """
        from .given import checked_input

        several = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        asked = [checked_input(one, f"input {place}") for place, one in enumerate(several)]
        answers = self._student([self._agent.prompt(one) for one in asked], n=n, **self._usual | sampling)
        clean = self._task.clean
        cleaned = [clean(said) if isinstance(said, str) else [clean(text) for text in said] for said in answers]
        return cleaned if isinstance(inputs, list | tuple) else cleaned[0]

    def close(self) -> None:
        """Free the student's memory."""
        self._student.close()

    def __enter__(self) -> "Speaker":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()
