import asyncio
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.endpoints.client import OpenAIClient
from openmic.core.config import EndpointSettings, RunConfig
from openmic.core.errors import EndpointLostError
from openmic.core.ids import derive_id
from openmic.core.records import (
    Agent,
    GenerationRequest,
    LLMReply,
    LLMRequest,
    Message,
    Role,
    Sampling,
    Stage,
    StudentSampling,
    TokenUsage,
    TurnKind,
)
from openmic.graph.context.replies.reply_cache import ReplyCache
from openmic.graph.context.reuse import Reuse
from openmic.store import Adapter, Dialogue, ExampleRow, LLMCall, PromptRow, Run, Store, Turn
from openmic.store.spending import llm_usage

from ..conftest import run_row

NOBODY = "http://127.0.0.1:9/v1"
CRITIC = {"model": "big", "base_url": "https://one.example/v1"}
ASKED = (Message(role="user", content="Say something."),)
PLACE = (Stage.COLLECT, 1, "e1", 0)


def config_of(**sections: Any) -> RunConfig:
    cast = {"critic": CRITIC, **sections.pop("cast", {})}
    return RunConfig.model_validate({"inputs": {"path": "x.txt"}, "cast": cast, **sections})


def request(role: Role = "critic", model: str = "big") -> LLMRequest:
    return LLMRequest(role, model, (Message(role="user", content="Which?"),), Sampling(), 7)


@pytest.fixture
def earlier(store: Store, tmp_path: Path) -> Run:
    """A run with a reply of its critic's, one of its simulated teacher's, and a draft by adapter v1."""
    run = run_row(config_of(), tmp_path, id="RUN0")
    store.add(run)
    reply = LLMReply(text="1", model="big", usage=TokenUsage(input=50, output=1))
    for asked in (request(), request("teacher", "sim-teacher")):
        store.save_reply("RUN0", asked, reply)
    store.add(ExampleRow(id="e1", text="x"), PromptRow.of(ASKED))
    dialogue = derive_id("RUN0", *PLACE[:3])
    store.add(
        Dialogue(id=dialogue, run_id="RUN0", stage=Stage.COLLECT, round=1, example_id="e1"), adapter("RUN0", "abc")
    )
    store.add(
        Turn(
            id=derive_id(dialogue, 0),
            run_id="RUN0",
            dialogue_id=dialogue,
            seq=0,
            agent=Agent.STUDENT,
            kind=TurnKind.DRAFT,
            content="a joke",
            content_hash="h",
            prompt_hash=PromptRow.of(ASKED).hash,
            request_key="collect:1:e1:0",
            model="student",
            adapter_version=1,
            sampling=StudentSampling().model_dump(),
            seed=5,
            finish_reason="stop",
            input_tokens=9,
            raw={"text": "A joke: a joke", "token_ids": [4, 5]},
        )
    )
    return run


def adapter(run: str, sha256: str, version: int = 1) -> Adapter:
    identity = derive_id(run, "adapter", version)
    return Adapter(
        id=identity, run_id=run, version=version, stage="imitation", round=0, base_model="m", uri="/x", sha256=sha256
    )


def reusing(store: Store, tmp_path: Path, config: RunConfig) -> Reuse:
    store.add(run_row(config, tmp_path, reuses="RUN0"))
    run = store.get(Run, "RUN1")
    assert run is not None
    found = Reuse.of(store, run, config)
    assert found is not None
    return found


@pytest.mark.usefixtures("earlier")
def test_a_reply_is_taken_over_without_asking_and_is_the_run_s_own_but_not_paid_for_by_it(
    store: Store, tmp_path: Path
) -> None:
    reuse = reusing(store, tmp_path, config_of())

    async def ask(times: int) -> list[LLMReply]:
        client = OpenAIClient(EndpointSettings(model="big", max_retries=0), base_url=NOBODY)
        llm = ReplyCache(store, "RUN1", {("critic", 0): client}, reuse=reuse)
        try:
            return [await llm.complete(request()) for _ in range(times)]
        finally:
            await client.close()

    assert [reply.text for reply in asyncio.run(ask(2))] == ["1", "1"]
    [call] = store.select(LLMCall, run_id="RUN1")
    assert call.reused_from == "RUN0"
    row = store.get(Run, "RUN1")
    assert row is not None
    used = llm_usage(store, row)["critic"]
    assert (used.reused, used.requests, used.input_tokens) == (1, 0, 0)


@pytest.mark.usefixtures("earlier")
@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        ({}, {"critic", "teacher"}),
        ({"rounds": 3, "budget": {"tokens": 5}}, {"critic", "teacher"}),
        (
            {"cast": {"critic": {**CRITIC, "max_concurrency": 2, "timeout_s": 5, "price": {"input": 1, "output": 1}}}},
            {"critic", "teacher"},
        ),
        ({"cast": {"simulated": {"latency_s": 0.5}}}, {"critic", "teacher"}),
        ({"cast": {"critic": {**CRITIC, "base_url": "https://other.example/v1"}}}, {"teacher"}),
        ({"cast": {"critic": {**CRITIC, "reasoning_effort": "low"}}}, {"teacher"}),
        ({"cast": {"critic": {**CRITIC, "extra_body": {"top_k": 3}}}}, {"teacher"}),
        ({"cast": {"critic": {"model": "simulated"}}}, {"teacher"}),
        ({"cast": {"critic": {"use": "length"}}}, {"teacher"}),
        ({"cast": {"simulated": {"quality": 0.9}}}, {"critic"}),
        ({"seed": 8}, {"critic"}),
    ],
)
def test_only_replies_of_whom_would_answer_alike_are_taken_over(
    store: Store, tmp_path: Path, changed: dict[str, Any], taken: set[str]
) -> None:
    reuse = reusing(store, tmp_path, config_of(**changed))
    found = {"critic": reuse.reply(request()), "teacher": reuse.reply(request("teacher", "sim-teacher"))}
    assert {role for role, reply in found.items() if reply is not None} == taken


def said(**other: Any) -> GenerationRequest:
    values = {"id": "collect:1:e1:0", "messages": ASKED, "sampling": StudentSampling(), "seed": 5, "adapter": 1}
    return GenerationRequest(**{**values, **other})


@pytest.mark.usefixtures("earlier")
def test_a_text_of_the_student_s_is_taken_over_where_all_that_made_it_is_the_same(store: Store, tmp_path: Path) -> None:
    reuse = reusing(store, tmp_path, config_of())
    assert reuse.generation(said(), PLACE) is None, "there is no such adapter yet"
    store.add(adapter("RUN1", "abc"), adapter("RUN1", "def", version=2))
    found = reuse.generation(said(), PLACE)
    assert found is not None
    assert (found.text, found.token_ids, found.prompt_tokens, found.worker) == ("A joke: a joke", (4, 5), 9, "run RUN0")
    for other in (
        said(seed=6),
        said(sampling=StudentSampling(temperature=0.1)),
        said(messages=(Message(role="user", content="Say something else."),)),
        said(adapter=2),
        said(adapter=0),
        said(id="collect:1:e1:1"),
    ):
        assert reuse.generation(other, PLACE) is None
    assert reuse.generation(said(), (*PLACE[:3], 1)) is None


@pytest.mark.usefixtures("earlier")
def test_another_student_says_it_anew(store: Store, tmp_path: Path) -> None:
    reuse = reusing(store, tmp_path, config_of(student={"model": "another"}))
    store.add(adapter("RUN1", "abc"))
    assert reuse.generation(said(), PLACE) is None


@pytest.mark.usefixtures("earlier")
def test_a_student_of_other_files_says_it_anew(store: Store, tmp_path: Path) -> None:
    store.add(run_row(config_of(), tmp_path, reuses="RUN0", student_files={"model.safetensors": "another"}))
    run = store.get(Run, "RUN1")
    assert run is not None
    reuse = Reuse.of(store, run, config_of())
    assert reuse is not None
    store.add(adapter("RUN1", "abc"))
    assert reuse.generation(said(), PLACE) is None
    assert reuse.of_same_files == []
    assert reuse.reply(request()) is not None


def test_where_the_earlier_run_is_gone_all_is_asked_anew(store: Store, tmp_path: Path) -> None:
    store.add(run_row(config_of(), tmp_path, reuses="RUN0"))
    run = store.get(Run, "RUN1")
    assert run is not None
    assert Reuse.of(store, run, config_of()) is None


@pytest.mark.usefixtures("earlier")
def test_what_is_not_there_is_asked_for(store: Store, tmp_path: Path) -> None:
    reuse = reusing(store, tmp_path, config_of())

    async def ask() -> None:
        client = OpenAIClient(EndpointSettings(model="big", max_retries=0, patience_s=0), base_url=NOBODY)
        try:
            await ReplyCache(store, "RUN1", {("critic", 0): client}, reuse=reuse).complete(request(model="bigger"))
        finally:
            await client.close()

    with pytest.raises(EndpointLostError):
        asyncio.run(ask())
