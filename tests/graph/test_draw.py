from pathlib import Path

import pytest

from openmic.graph.draw import mermaid

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
NODES = {
    "dialogue": {"draft", "compare", "critique", "revise", "demonstrate"},
    "campaign": {
        "demonstrate",
        "imitate",
        "collect",
        "fine_tune",
        "evaluate",
        "promote",
        "roll_back",
        "report",
    },
}
EDGES = {
    "dialogue": ["draft -.-> compare", "compare -.-> critique", "revise -.-> compare", "critique --> revise"],
    "campaign": [
        "demonstrate --> imitate",
        "evaluate -.-> promote",
        "evaluate -.-> roll_back",
        "promote -.-> collect",
    ],
}


@pytest.mark.parametrize("machine", NODES)
def test_mermaid_names_every_node_and_the_ways_between_them(machine: str) -> None:
    text = mermaid(machine)
    for node in NODES[machine]:
        assert f"{node}({node})" in text
    plain = text.replace("&nbsp;", " ")
    for edge in EDGES[machine]:
        assert edge in plain


@pytest.mark.parametrize("machine", NODES)
def test_the_architecture_shows_the_machine_as_it_is(machine: str) -> None:
    shown = ARCHITECTURE.read_text(encoding="utf-8")
    assert f"```mermaid\n{mermaid(machine).strip()}\n```" in shown, f"`openmic graph draw {machine}` draws it anew"
