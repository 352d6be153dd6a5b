import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.endpoints.room import FIRST_ROOM
from openmic.core.config import EndpointSettings, RunConfig
from openmic.core.endpoints.costs import BudgetSettings
from openmic.core.errors import BudgetError, EndpointError
from openmic.core.records import LLMRequest, Message, Sampling, TokenUsage
from openmic.graph.context.budget import Budget, working_time
from openmic.graph.context.replies.reply_cache import ReplyCache
from openmic.store import LLMCall, Run, Store
from openmic.store.admin.verify import verify
from openmic.store.spending import llm_usage

from ...agents.scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion, failure
from ..conftest import Serve, config_of, run_row

DEAR = {"input": 2.0, "cached": 0.5, "output": 8.0, "reasoning": 8.0}
PRICES = {"prices": {"teacher.0": {"model": "sim-teacher", "per_million": DEAR, "source": "this test"}}}


def request(number: int = 0) -> LLMRequest:
    content = f"Write exactly 1.\n<sentence>I lost umbrella number {number} on the train.</sentence>"
    return LLMRequest("teacher", "sim-teacher", (Message(role="user", content=content),), Sampling(), 7)


@pytest.fixture
def run(store: Store, tmp_path: Path) -> Run:
    store.add(run_row(config_of(), tmp_path, cost=PRICES))
    found = store.get(Run, "RUN1")
    assert found is not None
    return found


class Asking:
    """Requests to a simulated teacher under a budget, and what was told meanwhile."""

    def __init__(self, store: Store, run: Run, url: str) -> None:
        self.store, self.run, self.url = store, run, url
        self.told: list[str] = []

    def __call__(
        self, act: Callable[[ReplyCache], Awaitable[list[object]]], *, at_once: int = 16, **limits: float
    ) -> list[object]:
        async def perform() -> list[object]:
            settings = EndpointSettings(model="sim-teacher", max_retries=3, max_concurrency=at_once)
            budget = Budget.of(self.store, self.run, BudgetSettings.model_validate(limits), self.told.append)
            client = OpenAIClient(settings, base_url=self.url)
            llm = ReplyCache(self.store, self.run.id, {("teacher", 0): client}, budget)
            try:
                return await act(llm)
            finally:
                await llm.drain()
                await client.close()

        return asyncio.run(perform())


def all_of(number: int) -> Callable[[ReplyCache], Awaitable[list[object]]]:
    async def act(llm: ReplyCache) -> list[object]:
        return await asyncio.gather(*(llm.complete(request(n)) for n in range(number)), return_exceptions=True)

    return act


def one_by_one(number: int) -> Callable[[ReplyCache], Awaitable[list[object]]]:
    async def act(llm: ReplyCache) -> list[object]:
        return [await llm.complete(request(n)) for n in range(number)]

    return act


def tokens(store: Store) -> int:
    return sum(taken_by(row) for row in store.select(LLMCall))


def taken_by(row: LLMCall) -> int:
    return int(row.reply["usage"]["input"] + row.reply["usage"]["output"])


@pytest.mark.parametrize("at_once", [1, 4])
def test_no_more_is_sent_once_the_tokens_are_spent_and_what_is_in_flight_is_stored(
    store: Store, run: Run, serve: Serve, tmp_path: Path, at_once: int
) -> None:
    log = tmp_path / "requests.jsonl"
    ask = Asking(store, run, serve(log, latency_s=0.05))
    said = ask(all_of(40), at_once=at_once, tokens=400)
    errors = [one for one in said if isinstance(one, BaseException)]
    assert {type(error) for error in errors} == {BudgetError}, "an item must not fail for the budget"
    assert "budget.tokens is 400 tokens" in str(errors[0])
    sent = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert len(sent) == store.count(LLMCall) == 40 - len(errors)
    dearest = max(taken_by(row) for row in store.select(LLMCall))
    assert 400 <= tokens(store) < 400 + at_once * dearest


def test_a_run_that_goes_on_counts_what_was_taken_before_and_is_given_stored_replies_all_the_same(
    store: Store, run: Run, serve: Serve
) -> None:
    ask = Asking(store, run, serve())
    ask(one_by_one(3))
    with pytest.raises(BudgetError):
        ask(one_by_one(4), tokens=tokens(store))
    assert store.count(LLMCall) == 3
    ask(one_by_one(4), tokens=tokens(store) + 1)
    assert store.count(LLMCall) == 4


def test_dollars_are_counted_as_the_run_s_prices_say(store: Store, run: Run, serve: Serve) -> None:
    ask = Asking(store, run, serve())
    ask(one_by_one(2))
    used = llm_usage(store, run)["teacher"]
    assert used.usd == pytest.approx((used.input_tokens * 2.0 + used.output_tokens * 8.0) / 1e6)
    with pytest.raises(BudgetError, match=r"budget.usd is \$0.00"):
        ask(one_by_one(20), usd=2 * (used.usd or 0))
    assert 2 < store.count(LLMCall) < 20


def test_it_is_told_once_when_four_fifths_are_spent(store: Store, run: Run, serve: Serve) -> None:
    ask = Asking(store, run, serve())
    ask(one_by_one(1))
    limit = 10 * tokens(store)
    with pytest.raises(BudgetError):
        ask(one_by_one(40), tokens=limit)
    [told] = ask.told
    assert told.startswith("note: 8")
    assert f"% of budget.tokens ({limit:,} tokens) is spent" in told


def test_cached_and_thought_tokens_have_prices_of_their_own(store: Store, run: Run) -> None:
    told: list[str] = []
    run.cost["prices"]["teacher.0"]["per_million"] = {"input": 4.0, "cached": 1.0, "output": 10.0, "reasoning": 3.0}
    budget = Budget.of(store, run, BudgetSettings(usd=1.0), told.append)
    budget.take(("teacher", 0), TokenUsage(input=100_000, cached=60_000, output=50_000, reasoning=40_000))
    assert not budget.spent  # 0.16 + 0.06 + 0.1 + 0.12
    budget.take(("teacher", 0), TokenUsage(input=0, output=0, reasoning=90_000))  # a server's mistake
    budget.take(("teacher", 0), TokenUsage(output=56_000))
    assert budget.spent


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 40, "completion_tokens": 0}, {"completion_tokens": 3}])
def test_replies_without_a_count_are_estimated_so_that_a_budget_holds_at_any_endpoint(
    store: Store, run: Run, usage: dict[str, int] | None
) -> None:
    with ScriptedEndpoint() as endpoint:
        endpoint.chat = lambda asked, number: Answer(body=completion("A sentence of some words.", usage=usage))
        with pytest.raises(BudgetError):
            Asking(store, run, endpoint.base_url)(one_by_one(40), tokens=200)
    used = llm_usage(store, run)["teacher"]
    assert used.estimated == used.requests < 40
    assert used.input_tokens > 10 * used.requests
    assert used.output_tokens >= 3 * used.requests
    assert used.input_tokens + used.output_tokens >= 200


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as running:
        yield running


def thought_alone(asked: Asked, number: int) -> Answer:
    """What a model says that thinks longer than it may: a hundred tokens, and no answer."""
    usage = {"prompt_tokens": 20, "completion_tokens": 100}
    return Answer(body=completion("<think>Hm", finish_reason="length", usage=usage))


def test_a_reply_that_is_thought_alone_counts_before_more_is_asked(
    store: Store, run: Run, endpoint: ScriptedEndpoint
) -> None:
    endpoint.chat = thought_alone
    with pytest.raises(BudgetError, match="120 tokens were taken"):
        Asking(store, run, endpoint.base_url)(one_by_one(1), tokens=100)
    assert len(endpoint.bodies) == 1
    (kept,) = store.select(LLMCall)
    assert (kept.request["thought_alone"], kept.reply["thought"], taken_by(kept)) == (1, "Hm", 120)
    assert list(verify(store)) == []

    # Who goes on with more asks anew, with the room that was found out, and both are kept.
    with pytest.raises(BudgetError, match="240 tokens were taken"):
        Asking(store, run, endpoint.base_url)(one_by_one(1), tokens=200)
    assert sorted(row.request["thought_alone"] for row in store.select(LLMCall)) == [1, 2]
    first, second = (body.get("max_completion_tokens") or body["max_tokens"] for body in endpoint.bodies)
    assert second == first + FIRST_ROOM
    assert store.thoughts_alone(run.id) == {("teacher", 0): (2, FIRST_ROOM)}
    used = llm_usage(store, run)["teacher"]
    assert (used.requests, used.output_tokens) == (2, 200)


def test_what_was_thought_is_kept_where_asking_again_fails(store: Store, run: Run, endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        return failure(400, "this prompt is refused") if number else thought_alone(asked, number)

    endpoint.chat = script
    (error,) = Asking(store, run, endpoint.base_url)(all_of(1))
    assert isinstance(error, EndpointError)
    assert "this prompt is refused" in str(error)
    assert tokens(store) == 120


def test_minutes_end_what_is_going_on_and_are_counted_through_all_processes(store: Store, run: Run) -> None:
    told: list[str] = []

    async def work(minutes: float | None, seconds: float) -> None:
        row = store.get(Run, "RUN1")
        assert row is not None
        async with working_time(store, row, minutes, told.append):
            await asyncio.sleep(seconds)

    asyncio.run(work(None, 0.1))
    with pytest.raises(BudgetError, match=r"budget.minutes is 0.005 minutes"):
        asyncio.run(work(0.3 / 60, 30))
    row = store.get(Run, "RUN1")
    assert row is not None
    assert 0.3 <= row.seconds < 5
    assert told == ["note: 80% of budget.minutes (0.005 minutes) are over"]
    with pytest.raises(BudgetError, match="were worked"):
        asyncio.run(work(0.3 / 60, 0))
    asyncio.run(work(1, 0))


def test_a_time_out_of_the_work_s_own_is_not_taken_for_the_budget_s(store: Store, run: Run) -> None:
    async def work() -> None:
        async with working_time(store, run, 5, print):
            raise TimeoutError("another's")

    with pytest.raises(TimeoutError, match="another's"):
        asyncio.run(work())


def test_only_the_budget_of_a_configuration_says_what_may_be_taken() -> None:
    config = RunConfig.model_validate({"inputs": {"path": "x"}, "budget": {"tokens": 10, "usd": 0.5, "minutes": 1}})
    assert config.budget == BudgetSettings(tokens=10, usd=0.5, minutes=1.0)
    assert config_of().budget == BudgetSettings()
