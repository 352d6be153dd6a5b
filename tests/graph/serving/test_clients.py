"""The openai client and LangChain talk to a served student."""

from collections.abc import Iterator
from urllib.parse import quote

import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from openmic.core.records import GenerationRequest, Message, StudentSampling
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import TinyStudent

from .conftest import LONGEST, task

SOUP = "The soup was cold."
PLACE = f"tasks/{quote('odd/名')}"


@pytest.fixture(scope="module", params=["base_url", "streaming_url"])
def address(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as opened:
        yield opened


def expected(tiny: TinyStudent, version: int, *messages: Message) -> str:
    """What the engine that all others are held against says."""
    generator = BatchGenerator(tiny.fresh(), max_batch=4)
    if version:
        generator.load(tiny.adapters[version - 1])
    sampling = StudentSampling(temperature=0, max_tokens=LONGEST)
    [said] = generator.generate([GenerationRequest("r", messages, sampling, 0, version)])
    return said.text


def test_each_version_is_a_model_and_says_what_its_adapter_says(client: openai.OpenAI, tiny: TinyStudent) -> None:
    names = [model.id for model in client.models.list()]
    assert names == ["odd/名", *(f"odd/名:v{version}" for version in range(5))]
    assert client.models.retrieve("odd/名:v1").id == "odd/名:v1"
    said = {}
    for name in names:  # more than an engine keeps at once
        done = client.chat.completions.create(model=name, messages=[{"role": "user", "content": SOUP}])
        said[name] = done.choices[0].message.content
        assert done.usage is not None
        assert done.usage.completion_tokens > 0
    user = Message(role="user", content=SOUP)
    for version in range(5):
        assert said[f"odd/名:v{version}"] == expected(tiny, version, user)
    assert said["odd/名"] == said["odd/名:v2"]
    assert len(set(said.values())) > 3, "the versions do not differ enough"


def test_a_task_s_address_asks_with_its_prompts(address: str, tiny: TinyStudent) -> None:
    with openai.OpenAI(base_url=f"{address}/{PLACE}", api_key="none", max_retries=0) as client:
        assert len(list(client.models.list())) == 6
        done = client.chat.completions.create(model="odd/名:v3", messages=[{"role": "user", "content": SOUP}])
        system, user = Message(role="system", content="Make it funny."), Message(role="user", content=SOUP)
        assert done.choices[0].message.content == task().clean(expected(tiny, 3, system, user))
        revised = client.chat.completions.create(
            model="odd/名:v3",
            messages=[
                {"role": "user", "content": SOUP},
                {"role": "assistant", "content": "Cold soup."},
                {"role": "user", "content": "shorter"},
            ],
        )
        draft, asked = Message(role="assistant", content="Cold soup."), Message(role="user", content="Better: shorter")
        assert revised.choices[0].message.content == task().clean(expected(tiny, 3, system, user, draft, asked))


def test_a_stream_is_the_answer_in_pieces(client: openai.OpenAI, address: str) -> None:
    asked = {"model": "odd/名", "messages": [{"role": "user", "content": SOUP}], "n": 2, "seed": 3, "temperature": 1}
    whole = client.chat.completions.create(**asked)  # type: ignore[call-overload]  # a dictionary says no types
    pieces: dict[int, list[str]] = {0: [], 1: []}
    reasons: dict[int, str | None] = {}
    usage = None
    stream = client.chat.completions.create(
        **asked,
        stream=True,
        stream_options={"include_usage": True},  # type: ignore[call-overload]  # likewise
    )
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            pieces[choice.index].append(choice.delta.content or "")
            reasons[choice.index] = choice.finish_reason or reasons.get(choice.index)
    assert ["".join(said) for said in pieces.values()] == [choice.message.content for choice in whole.choices]
    assert [reasons[0], reasons[1]] == [choice.finish_reason for choice in whole.choices]
    assert usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens


def test_the_same_seed_gives_the_same_answers_and_none_gives_others(client: openai.OpenAI) -> None:
    def say(seed: int | None) -> list[str | None]:
        done = client.chat.completions.create(
            model="odd/名", messages=[{"role": "user", "content": SOUP}], n=3, temperature=1.5, seed=seed
        )
        return [choice.message.content for choice in done.choices]

    assert say(5) == say(5)
    assert len({*map(tuple, (say(5), say(6), say(None), say(None)))}) > 2
    assert len(set(say(5))) > 1


def test_a_text_ends_where_it_is_told_to(client: openai.OpenAI) -> None:
    asked = {"model": "odd/名:v1", "messages": [{"role": "user", "content": SOUP}]}
    whole = client.chat.completions.create(**asked).choices[0].message.content  # type: ignore[call-overload]
    end = whole[len(whole) // 2 : len(whole) // 2 + 2]
    done = client.chat.completions.create(**asked, stop=[end]).choices[0]  # type: ignore[call-overload]
    assert (done.message.content, done.finish_reason) == (whole.partition(end)[0], "stop")
    stream = client.chat.completions.create(**asked, stop=end, stream=True)  # type: ignore[call-overload]
    assert "".join(one.choices[0].delta.content or "" for one in stream) == whole.partition(end)[0]
    short = client.chat.completions.create(**asked, max_tokens=1).choices[0]  # type: ignore[call-overload]
    assert short.finish_reason == "length"


def test_langchain_invokes_and_streams(address: str) -> None:
    model = ChatOpenAI(base_url=f"{address}/{PLACE}", api_key=SecretStr("none"), model="odd/名", max_retries=0)
    said = model.invoke(SOUP).content
    assert said
    assert "".join(str(piece.content) for piece in model.stream(SOUP)) == said


def test_many_at_once_with_several_versions_are_each_answered_by_theirs(address: str, tiny: TinyStudent) -> None:
    import asyncio

    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=address, api_key="none", max_retries=0) as client:
            done = await asyncio.gather(
                *(
                    client.chat.completions.create(
                        model=f"odd/名:v{place % 5}", messages=[{"role": "user", "content": SOUP}]
                    )
                    for place in range(15)
                )
            )
        return [one.choices[0].message.content for one in done]

    user = Message(role="user", content=SOUP)
    assert asyncio.run(ask()) == [expected(tiny, version, user) for version in range(5)] * 3
