"""A task's functions: other people's code that cleans outputs, and says which of them are no answer.

They get whatever a model writes, so they are tried before a run begins, and called with care in one: what they raise or
may not return fails the one dialogue it happens in.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import PlugError, TaskError
from ...core.plugs import Plug, describe_object, describe_plug, load_plug, own_copy
from ...core.records import Input
from ...core.text import storable_text

Clean = Callable[[str], str]
"""Makes an output of a text that openmic's own cleaning has been through already."""
Gate = Callable[[str, Input], str | None]
"""None where the output is an answer to the input, else why not, in a few words: the same ones for the same fault."""

MOST_REASON = 80
"""Characters of a gate's reason that are kept: reasons are counted, so they should be few."""
_SAMPLE = "A text that a model might have written, to try the functions on."


@dataclass(frozen=True, slots=True)
class TaskFunction:
    """One function, and where it comes from."""

    call: Callable[..., Any]
    key: str
    """The key it stands under, such as `validity.functions.0`."""
    record: Mapping[str, Any]
    """What a run keeps of it: `use`, `kwargs`, `source_hash` and `importable`."""

    @property
    def about(self) -> str:
        """How errors speak of it."""
        return f"{self.record['use']} ({self.key})"


@dataclass(frozen=True, slots=True)
class TaskFunctions:
    """All functions of one task, in the order in which they are called."""

    clean: tuple[TaskFunction, ...] = ()
    gates: tuple[TaskFunction, ...] = ()

    @property
    def records(self) -> dict[str, dict[str, Any]]:
        """What a run keeps of each, by its key."""
        return {function.key: dict(function.record) for function in (*self.clean, *self.gates)}

    def cleaned(self, text: str) -> str:
        """The text as all cleaning functions leave it.

        Raises:
            PlugError: one raised something, or returned no text.
        """
        for function in self.clean:
            cleaned = _call(function, text)
            if not isinstance(cleaned, str):
                raise PlugError(
                    f"{function.about} returned {_shown(cleaned)} for {_shown(text)}; it has to return a text"
                )
            text = cleaned
        return text

    def problem(self, text: str, value: Input) -> str | None:
        """The reason of the first gate that turns an output away; None if it passes all.

        Raises:
            PlugError: one raised something, or returned neither None nor a reason.
        """
        for function in self.gates:
            reason = _call(function, text, value)
            if reason is None:
                continue
            said = " ".join(storable_text(reason).split()) if isinstance(reason, str) else ""
            if not said:
                raise PlugError(
                    f"{function.about} returned {_shown(reason)} for {_shown(text)}; it has to return None where the "
                    "text is an answer, and else why not, in a few words"
                )
            return said[:MOST_REASON]
        return None

    def try_on(self, value: Input) -> None:
        """Call every function once, with a text that a model might have written about this input.

        Raises:
            TaskError: one fails, or returns what it may not.
        """
        try:
            self.problem(self.cleaned(_SAMPLE), value)
        except PlugError as error:
            raise TaskError(
                f"{error}. It is called with whatever a model writes, so it may fail for no text"
            ) from error


def named_functions(
    key: str, plugs: Sequence[Plug], given: Sequence[Callable[..., Any]] = ()
) -> tuple[TaskFunction, ...]:
    """The functions behind a key of a task file, then those that were given in Python.

    Raises:
        ConfigError: one cannot be imported.
        TaskError: one is no plain function.
    """
    found = [
        TaskFunction(load_plug(plug, where=f"{key}.{place}"), f"{key}.{place}", describe_plug(plug))
        for place, plug in enumerate(plugs)
    ]
    found += [
        TaskFunction(function, f"{key}.{place}", describe_object(function))
        for place, function in enumerate(given, start=len(plugs))
    ]
    for function in found:
        if not callable(function.call) or inspect.iscoroutinefunction(function.call):
            raise TaskError(f"{function.about} has to be a plain function, not {_shown(function.call)}")
    return tuple(found)


def _call(function: TaskFunction, *given: Any) -> Any:
    try:
        return function.call(*map(own_copy, given))
    except (Exception, SystemExit) as error:  # other people's code may raise anything
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PlugError(f"{function.about} failed for {_shown(given[0])}: {storable_text(said)}") from error


def _shown(value: Any) -> str:
    return f"{value!r:.80}"
