"""How many sequences an engine generates together: as many as are asked for, and fewer once memory ran out."""

from ...core.errors import GenerationError, MemoryFullError
from ..student.memory import release_memory


class BatchLimit:
    """The most sequences of one engine's batches. It never grows again.

    Any thread may read it. A request that runs out of memory alone fails for itself if it is longer than all that were
    answered; else the memory went elsewhere, and every other request would fail likewise.
    """

    def __init__(self, most: int) -> None:
        self.most = self._asked_for = most
        """Sequences at a time."""
        self._longest = 0

    @property
    def lessened(self) -> int | None:
        """What memory let it be; None where that is what was asked for."""
        return None if self.most == self._asked_for else self.most

    def answered(self, positions: int) -> None:
        """Note that a request of so many tokens, those that it may be answered with included, was answered."""
        self._longest = max(self._longest, positions)

    def lessen(self, tried: int, name: str = "", positions: int = 0) -> None:
        """Take fewer from now on, because memory ran out over so many.

        Args:
            tried: How many sequences were generated together.
            name: Where it was one, the id of its request.
            positions: The tokens of that request, those that it may be answered with included.

        Raises:
            GenerationError: it was one, and longer than all that were answered.
            MemoryFullError: it was one, and no longer than others.
        """
        release_memory()
        self.most = max(1, min(self.most, (tried + 1) // 2))
        if tried > 1:
            return
        if 0 < self._longest < positions:
            raise GenerationError(
                f"memory ran out over request {name!r} alone, whose {positions} tokens are more than any other's so "
                f"far ({self._longest}); shorten the input or lower sampling.max_tokens"
            )
        raise MemoryFullError(
            f"memory ran out over a single request to the student ({name!r}, {positions} tokens): make room on its "
            "machine, or take a smaller student.model, a lower student.sampling.max_tokens or "
            "student.continuous.cache_tokens, or fewer student.pool.actors; where there is room, `openmic resume` goes "
            "on"
        )
