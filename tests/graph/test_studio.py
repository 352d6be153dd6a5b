import importlib.util
import json
from pathlib import Path

import pytest
from langgraph.graph.state import CompiledStateGraph

from openmic.graph.campaign import build_campaign_graph
from openmic.graph.rollout.dialogue import build_dialogue_graph

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "build"), [("dialogue", build_dialogue_graph), ("campaign", build_campaign_graph)])
def test_langgraphs_tools_find_both_machines_by_their_path(name: str, build: object) -> None:
    settings = json.loads((ROOT / "langgraph.json").read_text(encoding="utf-8"))
    assert set(settings["graphs"]) == {"dialogue", "campaign"}
    assert settings["dependencies"] == ["."]
    place, _, attribute = settings["graphs"][name].partition(":")
    # As LangGraph's server does it: by path, under a name of its own, outside the package.
    spec = importlib.util.spec_from_file_location("loaded_by_path", ROOT / place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    graph = getattr(module, attribute)
    assert isinstance(graph, CompiledStateGraph)
    assert graph.name == name
    assert callable(build)
    assert set(graph.get_graph().nodes) == set(build().get_graph().nodes)
