"""Execute the Python blocks of a page in order, in one namespace: `python -m tests.docs.execute PAGE`.

As in a notebook, a block may await. A traceback names the page and the line in it.
"""

import ast
import asyncio
import inspect
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from .blocks import blocks_of


def execute(path: Path) -> None:
    """Carry out what a page shows, or a program, as the main module."""
    linecache.cache[str(path)] = (0, None, path.read_text(encoding="utf-8").splitlines(keepends=True), str(path))
    with _main_module(path) as main, asyncio.Runner() as runner:
        for block in blocks_of(path):
            program = "\n" * block.line + block.text
            code = compile(program, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(code, main.__dict__))
            else:
                exec(code, main.__dict__)


@contextmanager
def _main_module(path: Path) -> Iterator[ModuleType]:
    """A main module of its own, which makes what is defined in it go to other processes by value."""
    before, main = sys.modules["__main__"], ModuleType("__main__")
    main.__file__ = str(path)
    sys.modules["__main__"] = main
    try:
        yield main
    finally:
        sys.modules["__main__"] = before


if __name__ == "__main__":
    execute(Path(sys.argv[1]))
