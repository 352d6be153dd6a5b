import pytest

from openmic.core.errors import ConfigError
from openmic.core.records import Agent, Stage
from openmic.store.search.filters import ORDERS as STORE_ORDERS
from openmic.store.search.filters import DialogueFilter
from openmic.viewer.query import ORDERS, asked


def test_all_that_can_be_asked() -> None:
    query = {"stage": "collect", "round": "2", "status": "finished", "stop_reason": "a b", "agent": "critic"}
    query |= {"adapter": "3", "verdict": "inconsistent", "tag": "t", "text": "x", "order": "-turns"}
    found = asked(query | {"after": "d1", "unknown": "y"})
    assert found.filter == DialogueFilter(
        stage=Stage.COLLECT,
        round=2,
        status="finished",
        stop_reason="a b",
        agent=Agent.CRITIC,
        adapter_version=3,
        verdict="inconsistent",
        tag="t",
        text="x",
    )
    assert found.order == "-turns"
    assert found.query == query


def test_empty_fields_ask_for_nothing() -> None:
    found = asked({"stage": "", "text": " ", "order": ""})
    assert found.filter.empty
    assert found.order == "started"
    assert not found.query


@pytest.mark.parametrize(
    "query",
    [
        {"round": "x"},
        {"round": "-1"},
        {"adapter": "9" * 30},
        {"round": "²"},
        {"stage": "s"},
        {"agent": "nobody"},
        {"verdict": "won"},
        {"status": "odd"},
        {"order": "up"},
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(query: dict[str, str]) -> None:
    [name] = query
    with pytest.raises(ConfigError, match=f"^{name}="):
        asked(query)


def test_every_order_of_the_store_can_be_asked_for() -> None:
    assert set(ORDERS) == set(STORE_ORDERS)
