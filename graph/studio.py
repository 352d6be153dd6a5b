"""The two graphs as LangGraph's own tools open them, by `langgraph.json`.

They load this file by its path, outside the package, so it imports by the package's name where others import
relatively.
"""

from openmic.graph.campaign import build_campaign_graph
from openmic.graph.rollout.dialogue import build_dialogue_graph

dialogue = build_dialogue_graph()
campaign = build_campaign_graph()
