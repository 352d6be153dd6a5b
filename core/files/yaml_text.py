"""YAML that people write: read as it stands there, or refused with the lines at fault.

What YAML lets pass without a word and nobody means is refused: a key that stands twice in one mapping, of which the
last would count, and an anchor that holds itself.
"""

from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode


class BadYAMLError(ValueError):
    """Why a text is no YAML that can be meant, and where: `line 3, column 5: …`."""


def parse_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        BadYAMLError: it is not valid, a key stands twice in one mapping, or an anchor holds itself.
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
        return node
