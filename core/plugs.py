"""Plugs: other people's code by name. A plug is a name that ships, or `module:attribute` with `kwargs`.

Every seam (scorer, critic, teacher, objective, engine, task) takes an object in Python and a plug in YAML. This file
imports what a plug names, says in one line why it cannot, and describes what was given so that a run can record it.
What a seam asks of the object is the seam's own business.
"""

import asyncio
import hashlib
import importlib
import inspect
import os
import re
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from .errors import ConfigError, OpenmicError, PlugError
from .section import Section
from .text import storable_text

_PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_<][\w.<>]*")


class Plug(Section):
    """An object of other people's, as the configuration names it. A string alone is its `use`."""

    use: str = Field(min_length=1)
    """A name that ships, or `module:attribute` of an importable module."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """What the attribute is called with, where it is a class or a function that makes the object."""
    name: str | None = Field(default=None, min_length=1)
    """What it is called in reports. Default: the attribute's, or the name that ships."""

    @model_validator(mode="before")
    @classmethod
    def _a_name_alone(cls, value: Any) -> Any:
        return {"use": value} if isinstance(value, str) else value

    @field_validator("use")
    @classmethod
    def _is_a_name_or_a_path(cls, use: str) -> str:
        if ":" in use and not _PATH.fullmatch(use):
            raise ValueError(
                f"{use!r} is neither a name that ships nor module:attribute, such as my_package.critics:funny"
            )
        return use

    @property
    def label(self) -> str:
        """What it is called in reports and errors."""
        return self.name or self.use.rpartition(":")[2]

    @property
    def is_path(self) -> bool:
        """Whether `use` is a `module:attribute`, and not a name that ships."""
        return ":" in self.use

    def renamed(self, name: str) -> Self:
        """The same plug under another name."""
        return self.model_copy(update={"name": name})


def import_plug(plug: Plug, *, where: str, shipped: Mapping[str, str] | None = None) -> Any:
    """What a plug names, as it stands in its module: a class is not made, and `kwargs` are left alone.

    Raises:
        ConfigError: it is neither shipped nor importable, or fails while imported.
    """
    return _attribute(_path_of(plug, where, shipped or {}), where)


def load_plug(plug: Plug, *, where: str, shipped: Mapping[str, str] | None = None) -> Any:
    """The object that a plug names, freshly made where `kwargs` are given or the attribute is a class.

    Args:
        plug: What to load.
        where: The configuration's key, or whatever else a person knows it by, for errors.
        shipped: The seam's own names, each with its `module:attribute`.

    Raises:
        ConfigError: it is neither shipped nor importable, fails while imported or made, or does not take `kwargs`.
    """
    found = import_plug(plug, where=where, shipped=shipped)
    if not (plug.kwargs or inspect.isclass(found)):
        return found
    if not callable(found):
        raise ConfigError(f"{where}: {plug.use} is no class or function, so it takes no kwargs; leave them out")
    try:
        inspect.signature(found).bind(**plug.kwargs)
    except TypeError as error:
        raise ConfigError(f"{where}: {plug.use} does not take these kwargs: {error}") from None
    except ValueError:  # a builtin without a signature: calling it will tell
        pass
    try:
        return found(**plug.kwargs)
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:  # other people's code may raise anything
        raise ConfigError(f"{where}: {plug.use} could not be made: {_words(error)}") from error


def describe_plug(plug: Plug, shipped: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What a run records of a plug: `use`, `kwargs`, `source_hash` and `importable`, ready for JSON."""
    found = _attribute(_path_of(plug, plug.use, shipped or {}), plug.use)
    return {"use": plug.use, "kwargs": dict(plug.kwargs), "source_hash": _source_hash(found), "importable": True}


def describe_object(given: Any) -> dict[str, Any]:
    """The same of an object that was given in Python.

    `importable` says whether importing `use` gives this very object, so that a run can be resumed by its record alone.
    """
    named = given if hasattr(given, "__qualname__") else type(given)
    use = f"{getattr(named, '__module__', None) or 'builtins'}:{named.__qualname__}"
    return {"use": use, "kwargs": {}, "source_hash": _source_hash(named), "importable": _gives(use, given)}


async def call_plug(function: Callable[..., Any], *given: Any, about: str, **offered: Any) -> Any:
    """What a function of other people's returns, awaited where it is asynchronous.

    Plain functions are called one at a time in a thread of their object's own, so they need not be safe for several
    threads and hold nobody up. One that uses openmic, and so comes back to itself or to another, waits for nobody.

    Args:
        function: The function, or a bound method.
        given: What it is called with.
        about: Who it is, for errors.
        offered: Passed on by name to a function that has such parameters, and left out otherwise.

    Raises:
        PlugError: it raised something; the message says what, and in which line.
    """
    known = {name: own_copy(value) for name, value in offered.items() if name in _names(function)}
    taken = partial(function, *map(own_copy, given), **known)
    owner = getattr(function, "__self__", function)
    try:
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            return await _on_plug_loop(taken())
        if id(owner) in _CALLING.get():  # its thread waits for what is called here
            found = _guarded(taken)
        else:
            context = copy_context()
            context.run(_CALLING.set, _CALLING.get() | {id(owner)})
            found = await asyncio.get_running_loop().run_in_executor(_thread(owner), context.run, _guarded, taken)
        return await _on_plug_loop(_awaited(found)) if inspect.isawaitable(found) else found
    except OpenmicError:
        raise
    except Exception as error:  # other people's code may raise anything
        raise PlugError(f"{about} failed: {_words(error)} ({where_raised(error)})") from error


def where_raised(error: BaseException) -> str:
    """The file and the line that raised an error, in words."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}, line {last.lineno}"


def own_copy(value: Any) -> Any:
    """What a function of other people's may change without anybody else seeing it: mappings and lists are copied."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, list) else value


_CALLING: ContextVar[frozenset[int]] = ContextVar("_CALLING", default=frozenset())
"""The objects (by `id`) whose plain functions are being called, from the outermost call in."""
_LOOPS_TAKEN: ContextVar[int] = ContextVar("_LOOPS_TAKEN", default=0)
"""How many loops of plugs wait for the call that is under way."""


def _guarded(taken: Callable[[], Any]) -> Any:
    """Call; what no future can carry, and what would end the process, becomes an error of the function's."""
    try:
        return taken()
    except StopIteration as error:
        raise RuntimeError("it raised StopIteration; has an iterator run out?") from error
    except (SystemExit, asyncio.CancelledError) as error:
        raise RuntimeError(f"it raised {type(error).__name__}") from error


async def _awaited(found: Any) -> Any:
    return await found


async def _on_plug_loop(work: Any) -> Any:
    """Await in the one loop of all plugs: a client that an object holds on to outlives a run's loop.

    What is called from within that loop by way of a plain function has it waiting, and gets the next loop.
    """

    async def guarded() -> Any:
        _LOOPS_TAKEN.set(depth if here else depth + 1)
        try:
            return await work
        except (KeyboardInterrupt, SystemExit) as error:  # either would end the loop, for every plug
            raise RuntimeError(f"it raised {type(error).__name__}") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise RuntimeError("it raised CancelledError") from error

    depth = _LOOPS_TAKEN.get()
    here = depth > 0 and asyncio.get_running_loop() is _plug_loop(depth - 1)
    if here:
        return await guarded()
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(guarded(), _plug_loop(depth)))


@cache
def _plug_loop(depth: int) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name=f"openmic-plugs-{depth}", daemon=True).start()
    return loop


def _names(function: Callable[..., Any]) -> frozenset[str]:
    """The parameters that a function can be given by name."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature
        return frozenset()
    return frozenset(p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY})


_THREADS: dict[int, ThreadPoolExecutor] = {}


def _thread(owner: Any) -> ThreadPoolExecutor:
    """Thread of one object, so that a slow one holds nobody up; it ends with the object."""
    found = _THREADS.get(id(owner))
    if found is None:
        found = _THREADS[id(owner)] = ThreadPoolExecutor(1, thread_name_prefix="openmic-plug")
        with suppress(TypeError):  # a builtin is there for good
            weakref.finalize(owner, _end_thread, id(owner)).atexit = False
    return found


def _end_thread(identity: int) -> None:
    _THREADS.pop(identity).shutdown(wait=False)


def _path_of(plug: Plug, where: str, shipped: Mapping[str, str]) -> str:
    if plug.is_path:
        return plug.use
    if plug.use not in shipped:
        names = f"shipped are {', '.join(sorted(shipped))}; " if shipped else ""
        raise ConfigError(f"{where}: there is no {plug.use!r}; {names}name your own as module:attribute")
    return shipped[plug.use]


def _attribute(path: str, where: str) -> Any:
    module_name, _, attribute = path.partition(":")
    if module_name == "__main__" or "<" in attribute:
        raise ConfigError(
            f"{where}: {path} was given as a Python object and cannot be imported again; put it into a module and name "
            "it as module:attribute, or give the object again in Python"
        )
    try:
        module = _module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ConfigError(
                f"{where}: there is no module {missing!r} for {path}; install it, or run where its file lies "
                f"(looked in {', '.join(looked_in())} and on PYTHONPATH)"
            ) from None
        raise ConfigError(f"{where}: importing {module_name} fails: {_words(error)}") from error
    except (Exception, SystemExit) as error:  # whatever a module does while it is imported
        raise ConfigError(f"{where}: importing {module_name} fails: {_words(error)}") from error
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            there = [name for name in vars(module) if not name.startswith("_")]
            raise ConfigError(
                f"{where}: module {module_name} has no {attribute!r}; it has {', '.join(there[:12]) or 'nothing'}"
            ) from None
    return found


def look_in(*folders: str | Path) -> None:
    """Have modules that are nowhere else, nor in the working directory, looked for in these folders too."""
    _FOLDERS.update(dict.fromkeys(str(Path(folder).absolute()) for folder in folders))


def looked_in() -> list[str]:
    """The folders in which modules are looked for that are not installed: the working directory's, then `look_in`'s."""
    return list(dict.fromkeys([os.getcwd(), *_FOLDERS]))  # noqa: PTH109 - sys.path holds strings


_FOLDERS: dict[str, None] = {}


def _module(name: str) -> Any:
    """Import a module, from the working directory where it is nowhere else; it never hides an installed one."""
    new = [folder for folder in looked_in() if folder not in sys.path]
    if new:
        sys.path.extend(new)
        importlib.invalidate_caches()
    return importlib.import_module(name)


def _gives(use: str, given: Any) -> bool:
    try:
        return _attribute(use, use) is given
    except ConfigError:
        return False


def _source_hash(found: Any) -> str | None:
    """SHA-256 of the source, in hex; None where there is none, as with what is compiled."""
    try:
        source = inspect.getsource(found if hasattr(found, "__qualname__") else type(found))
    except (OSError, TypeError):
        return None
    return hashlib.sha256(source.encode()).hexdigest()


def _words(error: BaseException) -> str:
    """What it says, fit for the store."""
    return storable_text(f"{type(error).__name__}: {error}") if str(error) else type(error).__name__
