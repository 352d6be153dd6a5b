"""A critic that prefers whatever is shown first now and then: both orders see through it, a single one does not.

The simulated critic is asked over real HTTP, once unbiased for the truth, and once set to prefer the first text with
probability 0.2. Everything in it is fixed by hashes, so this test cannot come out differently from one run to the next.
"""

import asyncio
from collections.abc import Iterator

import pytest

from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.tasks.task import Task
from openmic.agents.verdicts.verdict import Verdict
from openmic.core.config import EndpointSettings
from openmic.core.dialogue_settings import VerdictSettings
from openmic.evaluation.bootstrap import bootstrap_mean
from openmic.evaluation.intervals import Interval
from openmic.simulator import SimulatedCast, SimulatorSettings

from ..critics import endpoint_critic

PAIRS = 300
PREFER_FIRST = 0.2

NOUNS = ("kettle", "bus", "printer", "umbrella", "dentist", "neighbour", "soup", "lift", "landlord", "piano")
EVENTS = (
    "broke again this morning",
    "was late for the third time",
    "made a strange noise all night",
    "stopped working before the meeting",
    "disappeared on the way home",
    "cost more than I had expected",
)
JOKES = (
    ", like a celebrity avoiding an autograph",
    ", and now the umbrella is jealous of it",
    ", as if it had been paid to",
)
BLAND = (
    ", which was a thing that happened",
    ", and that is all there is to say",
    ", as was live_note at the time by those who were there",
)


def pairs() -> list[tuple[str, str, str]]:
    """A sentence and two retellings of it; the joke is the first of them in three of five pairs."""
    found = []
    for number in range(PAIRS):
        noun, event = NOUNS[number % len(NOUNS)], EVENTS[number // len(NOUNS) % len(EVENTS)]
        sentence = f"The {noun} {event} in week {number}."
        joke = f"The {noun} {event} in week {number}{JOKES[number % len(JOKES)]}."
        bland = f"The {noun} {event} in week {number}{BLAND[number // 3 % len(BLAND)]}."
        found.append((sentence, joke, bland) if number % 5 < 3 else (sentence, bland, joke))
    return found


def compare_all(cast: SimulatedCast, task: Task) -> list[Verdict]:
    async def run() -> list[Verdict]:
        client = OpenAIClient(EndpointSettings(model="sim-critic"), base_url=cast.base_url)
        critic = endpoint_critic(task, client, ["sim-critic"], 7, VerdictSettings())
        try:
            return await asyncio.gather(*(critic.compare(*pair) for pair in pairs()))
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def biased() -> Iterator[SimulatedCast]:
    with SimulatedCast(SimulatorSettings(seed=5, prefer_first=PREFER_FIRST)) as cast:
        yield cast


def rate(wins: list[float]) -> Interval:
    return bootstrap_mean(wins, confidence=0.95, samples=2000, seed=1)


@pytest.mark.slow
def test_both_orders_find_the_true_win_rate_and_one_order_does_not(
    simulated: SimulatedCast, biased: SimulatedCast, task: Task
) -> None:
    fair, unfair = compare_all(simulated, task), compare_all(biased, task)
    worth = {"win": 1.0, "tie": 0.5, "loss": 0.0}
    truth = sum(verdict.p_first > 0.5 for verdict in fair) / PAIRS
    assert all(verdict.consistent for verdict in fair)
    assert 0.55 < truth < 0.65

    both = rate([worth[verdict.outcome] for verdict in unfair])
    assert both.low <= truth <= both.high

    forward = rate([float(verdict.p_forward > 0.5) for verdict in unfair])
    assert not forward.low <= truth <= forward.high
    assert forward.value > truth

    # The critic turns to the first text regardless in a fifth of the questions: it shows where that changed the answer.
    torn = sum(not verdict.consistent for verdict in unfair) / PAIRS
    assert PREFER_FIRST / 2 < torn < 2 * PREFER_FIRST
