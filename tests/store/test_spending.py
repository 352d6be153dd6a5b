from openmic.core.records import Agent
from openmic.store import Store
from openmic.store.spending import Spending, spending

from .rows import dialogue, run, turn


def test_what_each_agent_took(store: Store) -> None:
    store.add(
        dialogue(),
        turn(0, input_tokens=10, output_tokens=3, latency_ms=100.0),
        turn(1, input_tokens=20, cached_tokens=8, output_tokens=4, latency_ms=300.0),
        turn(2, agent=Agent.CRITIC, input_tokens=5, output_tokens=1),
        turn(3, agent=Agent.CRITIC),
    )
    assert spending(store, "RUN1") == {
        Agent.CRITIC: Spending(2, 5, 0, 1, 0.0),
        Agent.STUDENT: Spending(2, 30, 8, 7, 200.0),
    }


def test_other_runs_do_not_count(store: Store) -> None:
    store.add(run(id="RUN2"), dialogue(), turn(0))
    assert not spending(store, "RUN2")
