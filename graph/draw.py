"""The state machines as Mermaid text, from the compiled graphs themselves and without a network."""

from .campaign import build_campaign_graph
from .rollout.dialogue import build_dialogue_graph


def mermaid(machine: str) -> str:
    """Draw the state machine `dialogue` or `campaign` in Mermaid's words."""
    compiled = build_dialogue_graph() if machine == "dialogue" else build_campaign_graph()
    return compiled.get_graph().draw_mermaid()
