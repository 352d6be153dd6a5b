"""Templates that end. A prompt may loop and call filters, and takes no more time, memory or room than a prompt needs.

A sandbox keeps a template from the rest of the program, and not from running for ever. Not for what a template may
reach: that is the sandbox's.
"""

import re
import time
from collections.abc import Callable, Iterator
from functools import wraps
from threading import local
from typing import Any, cast

from jinja2 import Template, nodes, pass_context
from jinja2.sandbox import MAX_RANGE, SandboxedEnvironment
from jinja2.visitor import NodeTransformer

CPU_SECONDS = 2.0
"""What one prompt may take of the processor; one that ships takes less than a thousandth of it."""
MOST = 1_000_000
"""The most characters of a prompt, parts of anything made for it, and the largest number that a filter is given."""
_PRODUCT = 100 * MOST
"""The most of a text's length times what a filter or a method is given for each part of it."""
_CHECK = "openmic_bounded"
_CLOCK = "openmic_in_time"
_NEVER = float("inf")
_WIDE = re.compile(r"\d{7}")
"""A width over `MOST` in a format."""


class TooMuchError(Exception):
    """A template that would not end, or not in what a prompt may take."""


class BoundedEnvironment(SandboxedEnvironment):
    """A sandbox in which nothing becomes larger than `MOST`."""

    intercepted_binops = frozenset({"*", "**", "+", "%"})

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        del self.globals["lipsum"]  # words at random, which would make a prompt another one each time
        self.filters = {name: _bounded_filter(name, one) for name, one in self.filters.items()}
        self.filters |= {_CHECK: bounded, _CLOCK: _in_time}
        self.tests = {name: _timed(cast(Callable[..., Any], one)) for name, one in self.tests.items()}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """The result of an operation, unless it would be too large to be computed at all."""
        if operator == "**" and (abs(left) > MOST or abs(right) > 64):
            raise TooMuchError("it computes with numbers that are too large")
        if operator == "*" and _size(left) * _size(right) > MOST and not _numbers(left, right):
            raise TooMuchError(f"it repeats something until that has more than {MOST:,} parts")
        if operator == "%" and isinstance(left, str):
            _look_at_call("format", left, right if isinstance(right, tuple) else (right,))
        return bounded(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja has it
        """What a method or a function returns, unless it would be too large."""
        method = getattr(__obj, "__wrapped__", __obj)  # the sandbox puts something before a text's `format`
        name, owner = getattr(method, "__name__", ""), getattr(method, "__self__", "")
        _look_at_call(name, owner, (*args, *kwargs.values()))
        return bounded(super().call(__context, __obj, *args, **kwargs))

    def _generate(self, source: nodes.Template, *arguments: Any, **named: Any) -> str:
        return super()._generate(_Checked().visit(source), *arguments, **named)


class _Checked(NodeTransformer):
    """Has every text that a template puts together itself looked at, and the time wherever it may go round again."""

    def visit_Template(self, node: nodes.Template) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.body.insert(0, _look_at_clock())
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.body.insert(0, _look_at_clock())
        node.test = None if node.test is None else _filtered(node.test, _CLOCK)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 - Jinja's name
        return _filtered(self.generic_visit(node), _CHECK)

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802 - Jinja's name
        self.generic_visit(node)
        node.filter = _filtered(node.filter, _CHECK)
        return node


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=getattr(node, "lineno", 1))


def _look_at_clock() -> nodes.ExprStmt:
    return nodes.ExprStmt(_filtered(nodes.Const(None), _CLOCK), lineno=1)


def bounded(value: Any) -> Any:
    """A value as it is.

    Raises:
        TooMuchError: It is larger than anything in a prompt may be.
    """
    if isinstance(value, str | list | tuple | dict | bytes) and len(value) > MOST:
        raise TooMuchError(f"it makes something of more than {MOST:,} parts")
    if isinstance(value, int) and value.bit_length() > 63:
        raise TooMuchError("it computes with numbers that are too large")
    return value


def render(template: Template, values: dict[str, Any]) -> str:
    """The text of a template.

    Raises:
        TooMuchError: It takes too long or becomes too long.
    """
    parts, length = list[str](), 0
    _until.moment = time.thread_time() + CPU_SECONDS
    try:
        for part in template.generate(**values):
            parts.append(part)
            length += len(part)
            if length > MOST:
                raise TooMuchError(f"it becomes longer than {MOST:,} characters")
    finally:
        _until.moment = _NEVER
    return "".join(parts)


class _Until(local):
    """When what this thread renders has to have ended, by the thread's own clock: a busy machine does no harm."""

    moment = _NEVER


_until = _Until()


@pass_context  # so that it is not computed beforehand, where a template is compiled
def _in_time(_context: Any, value: Any) -> Any:
    """A value as it is.

    Raises:
        TooMuchError: The template has had its time.
    """
    if time.thread_time() > _until.moment:
        raise TooMuchError(f"it takes longer than {CPU_SECONDS:g} s")
    return value


def _timed(test: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(test)
    def called(*args: Any, **kwargs: Any) -> Any:
        return _in_time(None, test(*args, **kwargs))

    return called


def _bounded_filter(name: str, filter_function: Callable[..., Any]) -> Callable[..., Any]:
    passed = 1 if hasattr(filter_function, "jinja_pass_arg") else 0  # a context or the like comes before the value

    @wraps(filter_function)  # also what it is passed
    def called(*args: Any, **kwargs: Any) -> Any:
        _look_at_call(name, args[passed] if len(args) > passed else "", (*args[passed + 1 :], *kwargs.values()))
        return bounded(filter_function(*args, **kwargs))

    return called


def _look_at_call(name: str, of: Any, given: tuple[Any, ...]) -> None:
    _in_time(None, None)
    if any(isinstance(one, int | float) and abs(one) > MOST for one in given):
        raise TooMuchError(f"it gives {name or 'a function'} a number over {MOST:,}")
    if name in {"format", "format_map"} and _WIDE.search(str(of)):
        raise TooMuchError(f"it formats something to a width over {MOST:,}")
    if _size(of) * max(map(_size, given), default=1) > _PRODUCT:
        raise TooMuchError(f"what it has {name or 'a function'} make is too long")


def _numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _size(value: Any) -> float:
    """How many parts a value has, or how often a number repeats something; of what is not known, the most."""
    if isinstance(value, int | float):
        return max(1, abs(value))
    try:
        return max(1, len(value))
    except TypeError:
        return MAX_RANGE if isinstance(value, Iterator) else 1
