"""YAML that people write: read as it stands there, or refused with the lines at fault.

What YAML lets pass without a word and nobody means is refused: a key that stands twice in one mapping, of which the
last would count, an anchor that holds itself, and anchors within anchors that stand for millions of values.
"""

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_MOST_VALUES = 100_000


class BadYAMLError(ValueError):
    """Why a text is no YAML that can be meant, and where: `line 3, column 5: …`."""


def parse_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        BadYAMLError: it is not valid, a key stands twice in one mapping, an anchor holds itself or stands for too much.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, as below
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadYAMLError(f"{where}not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise BadYAMLError(f"not valid YAML: {error}") from None
    except RecursionError:
        raise BadYAMLError("not YAML that can be read: it is nested too deep") from None
    except ValueError as error:  # a date or number that looks like one and is none; or one of ours
        raise (error if isinstance(error, BadYAMLError) else BadYAMLError(f"not valid YAML: {error}")) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's, that looks at mappings and anchors before anything is made of them."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._open: list[str] = []
        self._values: dict[int, int] = {}
        self._most = max(_MOST_VALUES, len(text))  # written out, a value takes a character at the least

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        if self.check_event(yaml.AliasEvent):
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs know no more
            if event.anchor in self._open:
                line = event.start_mark.line + 1
                raise BadYAMLError(f"line {line}: the anchor {event.anchor!r} holds itself; write out what is meant")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        self._open.append(anchor or "")
        node = super().compose_mapping_node(anchor)
        self._open.pop()
        self._count(node, [part for pair in node.value for part in pair])
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                places = f"line {lines[key.value]} and line {line}" if lines[key.value] != line else f"line {line}"
                raise BadYAMLError(f"{places}: the key {key.value!r} stands there twice; leave out one of the two")
            lines[key.value] = line
        return node

    def compose_sequence_node(self, anchor: Any) -> SequenceNode:
        self._open.append(anchor or "")
        node = super().compose_sequence_node(anchor)
        self._open.pop()
        self._count(node, node.value)
        return node

    def _count(self, node: Node, parts: list[Node]) -> None:
        """Take down how many values a node stands for, those of its anchors each time."""
        self._values[id(node)] = total = 1 + sum(self._values.get(id(part), 1) for part in parts)
        if total > self._most:
            line = node.start_mark.line + 1
            raise BadYAMLError(
                f"line {line}: its anchors stand for more than {self._most:,} values; write out what is meant"
            )
