from dataclasses import asdict

from openmic.core.records import Agent, LLMReply, LLMRequest, Message, Role, Sampling, TokenUsage
from openmic.store import Store
from openmic.store.spending import Price, Spending, Usage, llm_usage, sampled_labels, spending
from openmic.store.tally import tallies

from .rows import ballot, dialogue, run, turn, verdict


def ask(store: Store, role: Role, ordinal: int, usage: TokenUsage, latency_ms: float = 0.0) -> str:
    """Keep a large model's reply; returns the key of its request."""
    request = LLMRequest(role, "big", (Message(role="user", content="?"),), Sampling(), 1, ordinal=ordinal)
    store.save_reply("RUN1", request, LLMReply(text="A", model="big", usage=usage, latency_ms=latency_ms))
    return request.key


def test_what_each_agent_took(store: Store) -> None:
    ask(store, "critic", 0, TokenUsage(input=5, output=1), 10.0)
    ask(store, "critic", 1, TokenUsage(input=7, cached=6), 20.0)
    store.add(
        dialogue(),
        turn(0, input_tokens=10, output_tokens=3, latency_ms=100.0),
        turn(1, input_tokens=20, cached_tokens=8, output_tokens=4, latency_ms=300.0),
        turn(2, agent=Agent.CRITIC, input_tokens=5, output_tokens=1),
    )
    assert spending(store, run()) == {
        # A reply that became no turn was paid for too.
        Agent.CRITIC: Spending(1, Usage(2, 12, 6, 1, latency_ms=15.0)),
        Agent.STUDENT: Spending(2, Usage(2, 30, 8, 7, latency_ms=200.0)),
    }


def test_a_reply_is_counted_once_however_many_turns_it_became(store: Store) -> None:
    key = ask(store, "teacher", 0, TokenUsage(input=100, cached=40, output=60), 50.0)
    common = {"agent": Agent.TEACHER, "kind": "demonstration", "request_key": key, "latency_ms": 50.0}
    store.add(
        dialogue(), *(turn(seq, input_tokens=100, cached_tokens=40, output_tokens=60, **common) for seq in range(3))
    )
    assert spending(store, run()) == {Agent.TEACHER: Spending(3, Usage(1, 100, 40, 60, latency_ms=50.0))}


def test_dollars_thoughts_and_what_another_run_had_paid_for(store: Store) -> None:
    charged = {"input": 1.0, "cached": 0.5, "output": 10.0, "reasoning": 20.0}
    priced = run(
        cost={
            "prices": {
                "critic.0": asdict(Price("big", charged, "a list")),
                "judge.0": asdict(Price("huge", None, "the list has none")),
            }
        }
    )
    ask(store, "critic", 0, TokenUsage(input=1_000_000, cached=200_000, output=300_000, reasoning=100_000, estimated=1))
    ask(store, "judge", 0, TokenUsage(input=10, output=1))
    request = LLMRequest("critic", "big", (Message(role="user", content="?"),), Sampling(), 1, ordinal=9)
    reply = LLMReply(text="A", model="big", usage=TokenUsage(input=500, output=500))
    store.save_reply("RUN1", request, reply, reused_from="RUN0")
    used = llm_usage(store, priced)
    assert used["critic"] == Usage(
        1, 1_000_000, 200_000, 300_000, 100_000, estimated=1, reused=1, usd=0.8 + 0.1 + 2.0 + 2.0
    )
    assert (used["judge"].requests, used["judge"].usd) == (1, None)


def test_what_came_in_a_batch_costs_half(store: Store) -> None:
    charged = {"input": 1.0, "cached": 0.5, "output": 10.0, "reasoning": 20.0}
    priced = run(cost={"prices": {"critic.0": asdict(Price("big", charged, "a list"))}})
    usage = TokenUsage(input=1_000_000, output=100_000)
    for ordinal, batched in enumerate((0, 1, 1)):
        request = LLMRequest("critic", "big", (Message(role="user", content="?"),), Sampling(), 1, ordinal=ordinal)
        counted, took = usage.model_copy(update={"batched": batched}), 0.0 if batched else 900.0
        store.save_reply("RUN1", request, LLMReply(text="A", model="big", usage=counted, latency_ms=took))
    expected = Usage(3, 3_000_000, 0, 300_000, latency_ms=900.0, batched=2, usd=2.0 + 1.0 + 1.0)
    assert llm_usage(store, priced)["critic"] == expected  # what came in a batch has no time of its own


def test_other_runs_do_not_count(store: Store) -> None:
    store.add(run(id="RUN2"), dialogue(), turn(0))
    assert not spending(store, run(id="RUN2"))


def test_what_it_took_that_labels_were_sampled(store: Store) -> None:
    store.add(dialogue(), *(turn(seq) for seq in range(9)), verdict(method="sampled"))
    assert sampled_labels(tallies(store, "RUN1")) == {}
    orders = [True] * 3 + [False] * 4
    store.add(
        *(ballot(turn_id=f"t{seq}", forward=forward, method="sampled") for seq, forward in enumerate(orders, start=2))
    )
    assert sampled_labels(tallies(store, "RUN1")) == {"critic": {"comparisons": 1, "extra_calls": 5}}
