"""The state machines as Mermaid text and as pictures, from the compiled graphs themselves and without a network."""

from pathlib import Path
from typing import Literal

from langchain_core.runnables.graph import Graph

from ..core.errors import ConfigError
from .campaign import build_campaign_graph
from .dialogue import build_dialogue_graph

FORMATS = (".png", ".svg", ".pdf")
Machine = Literal["dialogue", "campaign"]


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
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import networkx as nx

    graph = _graph(machine)
    net = nx.DiGraph()
    for rank, layer in enumerate(_layers(graph)):
        net.add_nodes_from(layer, layer=-rank)
    for edge in graph.edges:
        net.add_edge(edge.source, edge.target, conditional=edge.conditional)
    positions = nx.multipartite_layout(net, subset_key="layer", align="horizontal")
    names = {node: node.strip("_").replace("_", " ") for node in net}
    figure, axes = plt.subplots(figsize=(8, 1.1 * (1 + max(-net.nodes[node]["layer"] for node in net))))
    try:
        forward = [e for e in net.edges if net.nodes[e[0]]["layer"] > net.nodes[e[1]]["layer"]]
        for edges, bend in ((forward, 0.0), ([e for e in net.edges if e not in set(forward)], 0.45)):
            for conditional, style in ((False, "solid"), (True, "dashed")):
                chosen = [e for e in edges if bool(net.edges[e]["conditional"]) is conditional]
                nx.draw_networkx_edges(
                    net,
                    positions,
                    edgelist=chosen,
                    style=style,
                    ax=axes,
                    connectionstyle=f"arc3,rad={bend}",
                    node_size=3200,
                    edge_color="#555555",
                )
        box = {"boxstyle": "round,pad=0.45", "facecolor": "#eef2fb", "edgecolor": "#4a66a0"}
        nx.draw_networkx_labels(net, positions, labels=names, ax=axes, font_size=10, bbox=box)
        axes.set_title(machine)
        axes.margins(0.15)
        axes.set_axis_off()
        figure.savefig(path, bbox_inches="tight", dpi=150)
    except OSError as error:
        raise ConfigError(f"the picture cannot be written to {str(path)!r}: {error.strerror}") from None
    finally:
        plt.close(figure)


def _graph(machine: str) -> Graph:
    compiled = build_dialogue_graph() if machine == "dialogue" else build_campaign_graph()
    return compiled.get_graph()


def _layers(graph: Graph) -> list[list[str]]:
    """The nodes by their shortest way from the start, the end last."""
    ranks = {"__start__": 0}
    queue = ["__start__"]
    for node in queue:
        for edge in graph.edges:
            if edge.source == node and edge.target not in ranks:
                ranks[edge.target] = ranks[node] + 1
                queue.append(edge.target)
    ranks["__end__"] = max(rank for node, rank in ranks.items() if node != "__end__") + 1
    layers: list[list[str]] = [[] for _ in range(max(ranks.values()) + 1)]
    for node, rank in ranks.items():
        layers[rank].append(node)
    return [layer for layer in layers if layer]
