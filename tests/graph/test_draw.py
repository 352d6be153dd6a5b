from pathlib import Path

import pytest

from openmic.core.errors import ConfigError
from openmic.graph.draw import mermaid, picture

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
@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_picture_is_drawn_in_the_format_of_its_ending(
    machine: str, ending: str, start: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"machine{ending}"
    picture(machine, path)
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("machine", NODES)
def test_the_picture_shows_every_node(machine: str, tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):  # texts as texts, not as outlines
        picture(machine, tmp_path / "machine.svg")
    text = (tmp_path / "machine.svg").read_text(encoding="utf-8")
    for node in NODES[machine]:
        assert f">{node.replace('_', ' ')}<" in text


@pytest.mark.parametrize("name", ["machine.gif", "machine"])
def test_another_ending_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png, \.svg, \.pdf"):
        picture("campaign", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        picture("dialogue", tmp_path / "nowhere" / "machine.png")
