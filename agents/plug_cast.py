"""Teachers and writers of critiques that are Python objects, or demonstrations that exist already."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.errors import PlugError
from ..core.inputs import known_outputs
from ..core.plugs import call_plug
from ..core.records import Input
from ..core.text import storable_text
from .cast import Demonstrations
from .critique import Critique, as_line, parse_critique
from .llm import PlugReply
from .tasks.task import Task

_PARTS = ("works", "missing", "suggestion")


class PlugTeacher:
    """A function `(input, count) -> outputs`, or an object with such a `demonstrate`."""

    def __init__(self, teacher: Any, use: str, task: Task) -> None:
        self._call: Callable[..., Any] = getattr(teacher, "demonstrate", teacher)
        self._use, self._task = use, task

    async def demonstrate(
        self, source: Input, count: int, *, overused: Sequence[str] = (), ordinal: int = 0
    ) -> Demonstrations:
        """What the function returns, cleaned; what is no answer, by the gates of the student's drafts, is turned away.

        Raises:
            PlugError: it failed, or returned neither a text nor several.
        """
        began = time.monotonic()
        found = await call_plug(self._call, source, count, about=self._use, overused=list(overused), ordinal=ordinal)
        outputs = [found] if isinstance(found, str) else found
        if not isinstance(outputs, Sequence) or not all(isinstance(output, str) for output in outputs):
            raise PlugError(f"{self._use} returned {found!r:.80}; it is to return a text, or a list of texts")
        outputs = [storable_text(output) for output in outputs]
        reply = PlugReply("teacher", self._use, "\n".join(outputs), (time.monotonic() - began) * 1000)
        return Demonstrations.of(reply, self._task.checked(outputs, source, count))


class KnownDemonstrations:
    """Demonstrations that exist already, by input: nobody is asked."""

    def __init__(self, outputs: Mapping[str, Sequence[str]], use: str, task: Task, *, taken: int) -> None:
        """Outputs that are known.

        Args:
            outputs: They, as `core.inputs.read_demonstrations` finds them.
            use: Where they are from.
            task: Cleans them.
            taken: How many of each input imitation takes; a round's fallback begins behind them.
        """
        self._outputs, self._use, self._task, self._taken = outputs, use, task, taken

    async def demonstrate(
        self, source: Input, count: int, *, overused: Sequence[str] = (), ordinal: int = 0
    ) -> Demonstrations:
        """The input's first `count` outputs; in round `ordinal - 1` one not taken yet, while there is any."""
        known = known_outputs(self._outputs, source)
        begin = self._taken + ordinal - 2 if ordinal else 0
        wanted = known[begin : begin + count]
        said = "\n".join(wanted) or f"there is no demonstration number {begin + 1} for this input"
        return Demonstrations.of(PlugReply("teacher", self._use, said), self._task.checked(wanted, source, count))


class PlugCritiques:
    """An object's `criticise(input, draft)`: a text, a mapping with works, missing and suggestion, or a Critique."""

    def __init__(self, critic: Any, use: str) -> None:
        self._critic, self._use = critic, use

    async def criticise(
        self, source: Input, draft: str, *, overused: Sequence[str] = (), attempt: int = 0
    ) -> tuple[PlugReply, Critique]:
        """The critique, and what the object said as it said it.

        Raises:
            PlugError: it failed, or returned something else.
        """
        began = time.monotonic()
        found = await call_plug(
            self._critic.criticise,
            source,
            draft,
            about=f"{self._use}.criticise",
            overused=list(overused),
            attempt=attempt,
        )
        reply = PlugReply("critic", self._use, f"{found}", (time.monotonic() - began) * 1000)
        if isinstance(found, Critique) and all(isinstance(getattr(found, part), str) for part in _PARTS):
            works, missing, suggestion = (as_line(getattr(found, part)) for part in _PARTS)
            return reply, Critique(works, missing, suggestion, parsed=bool(found.parsed))
        if isinstance(found, Mapping):
            works, missing, suggestion = (as_line(found.get(part)) for part in _PARTS)
            return reply, Critique(works, missing, suggestion, parsed=bool(suggestion))
        if isinstance(found, str):
            read = parse_critique(found)
            # A plain text of a program's is its suggestion; of a model's it may be anything.
            return reply, Critique(read.works, read.missing, read.suggestion, parsed=bool(read.suggestion))
        raise PlugError(
            f"{self._use}.criticise returned {found!r:.80}; it is to return a text, or a mapping or Critique with "
            "texts under works, missing and suggestion"
        )
