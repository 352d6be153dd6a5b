"""How many examples go through the model together: as many as are asked for, and fewer once memory ran out."""

from collections.abc import Callable

from ...core.errors import TrainingError
from ..student.memory import release_memory


class Portions:
    """The size of a training's micro-batches. It never grows again."""

    def __init__(self, size: int, on_less: Callable[[int], None] = lambda _: None) -> None:
        self.size = self._asked_for = size
        """Examples at a time."""
        self._on_less = on_less

    @property
    def lessened(self) -> int | None:
        """What memory let it be; None where that is what was asked for."""
        return None if self.size == self._asked_for else self.size

    def lessen(self) -> None:
        """Take half as many from now on, because memory ran out.

        Raises:
            TrainingError: it is one at a time already.
        """
        release_memory()
        if self.size == 1:
            raise TrainingError(
                "memory ran out over a single training example: set training.gradient_checkpointing, lower "
                "training.max_length or training.lora.r, take a smaller student.model, or a machine with more memory; "
                "training.micro_batch_size is 1 by now"
            )
        self.limit(self.size // 2)

    def limit(self, size: int) -> None:
        """Take no more than so many from now on."""
        if size < self.size:
            self.size = size
            self._on_less(size)
