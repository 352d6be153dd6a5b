"""The state machines as Mermaid text and as pictures, from the compiled graphs themselves and without a network."""

from pathlib import Path

from langchain_core.runnables.graph import Graph

from ..core.errors import ConfigError
from .campaign import build_campaign_graph
from .rollout.dialogue import build_dialogue_graph

FORMATS = (".png", ".svg", ".pdf")


def mermaid(machine: str) -> str:
    """The state machine in Mermaid's words."""
    return _graph(machine).draw_mermaid()


def picture(machine: str, path: Path) -> None:
    """Draw the state machine into a file whose ending says the format.

    Raises:
        ConfigError: another ending, or the file cannot be written.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"a picture is drawn as {', '.join(FORMATS)}, not as {path.name!r}; rename --output")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    graph = _graph(machine)
    rows = {node: -row for row, node in enumerate(graph.nodes)}
    figure = Figure(figsize=(6, 0.9 * len(rows)))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    box = {"boxstyle": "round,pad=0.5", "facecolor": "#eef2fb", "edgecolor": "#4a66a0"}
    labels = {
        node: axes.text(0, row, node.strip("_").replace("_", " "), ha="center", va="center", bbox=box)
        for node, row in rows.items()
    }
    for edge in graph.edges:
        distance = (
            rows[edge.source] - rows[edge.target]
        )  # 1: straight down; more: past others on the left; negative: back up, on the right
        axes.annotate(
            "",
            xy=(0, rows[edge.target]),
            xytext=(0, rows[edge.source]),
            arrowprops={
                "arrowstyle": "-|>",
                "linestyle": "dashed" if edge.conditional else "solid",
                "color": "#555555" if distance > 0 else "#a05a4a",
                "connectionstyle": f"arc3,rad={0.0 if distance == 1 else 0.4 + 0.9 / abs(distance)}",
                "patchA": labels[edge.source].get_bbox_patch(),
                "patchB": labels[edge.target].get_bbox_patch(),
            },
        )
    axes.set_title(f"{machine} (dashed: depends on the state)", fontsize=10)
    axes.set_xlim(-2, 2)
    axes.set_ylim(min(rows.values()) - 0.6, 0.6)
    axes.set_axis_off()
    try:
        figure.savefig(path, bbox_inches="tight", dpi=150)
    except OSError as error:
        raise ConfigError(f"the picture cannot be written to {str(path)!r}: {error.strerror}") from None


def _graph(machine: str) -> Graph:
    compiled = build_dialogue_graph() if machine == "dialogue" else build_campaign_graph()
    return compiled.get_graph()
