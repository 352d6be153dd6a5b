"""Execute the Python blocks of a page in order, in one namespace: `python -m tests.docs.execute PAGE`.

As in a notebook, a block may await. A traceback names the page and the line in it.
"""

import ast
import asyncio
import inspect
import linecache
import sys
from pathlib import Path
from typing import Any

from .blocks import blocks_of


def execute(path: Path) -> None:
    """Carry out what a page shows."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    linecache.cache[str(path)] = (0, None, path.read_text(encoding="utf-8").splitlines(keepends=True), str(path))
    with asyncio.Runner() as runner:
        for block in blocks_of(path):
            program = "\n" * block.line + block.text
            code = compile(program, str(path), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            if code.co_flags & inspect.CO_COROUTINE:
                runner.run(eval(code, namespace))
            else:
                exec(code, namespace)


if __name__ == "__main__":
    execute(Path(sys.argv[1]))
