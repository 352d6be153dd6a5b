"""Who is in a cast, what its seats are called, and what is wrong with a cast before it is asked anything."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import CastSettings
from openmic.core.errors import ConfigError, EndpointSetupError, TaskError
from openmic.core.records import LLMRequest, Message, Role, Sampling
from openmic.graph.context.models import open_models
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.seats import seat_model, seat_names, seat_setting, seats
from openmic.graph.preflight.checks import check_cast

from ...agents.scripted_endpoint import Answer, Asked, Script, ScriptedEndpoint, completion, failure, model_list
from ..conftest import config_of

JURY = {"jury": [{}, {"model": "big"}, {}]}


@pytest.fixture(autouse=True)
def _no_key_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_jurors_are_critics_beside_the_critic() -> None:
    cast = CastSettings.model_validate(JURY)
    found = seats(cast)
    assert list(found) == [("teacher", 0), ("critic", 0), ("judge", 0), ("critic", 1), ("critic", 2), ("critic", 3)]
    assert [seat_model(member, endpoint) for member, endpoint in found.items()] == [
        "sim-teacher",
        "sim-critic",
        "sim-judge",
        "sim-critic-2",
        "big",
        "sim-critic-4",
    ]
    assert [seat_setting(member) for member in found][2:4] == ["judge", "jury.0"]
    assert list(seats(cast, ["judge"])) == [("judge", 0)]


def test_names_are_kept_by_role_and_the_jurys_as_a_list() -> None:
    alone = {"teacher": "sim-teacher", "critic": "sim-critic", "judge": "sim-judge"}
    assert seat_names(CastSettings()) == alone
    assert seat_names(CastSettings.model_validate(JURY)) == alone | {"jury": ["sim-critic-2", "big", "sim-critic-4"]}


@pytest.mark.parametrize("roles", [("critic",), ("teacher", "critic", "judge")])
def test_an_open_cast_has_a_client_for_every_member(tmp_path: Path, roles: tuple[Role, ...]) -> None:
    cast = CastSettings.model_validate({"jury": [{}]})
    log = tmp_path / "requests.jsonl"
    compare = "<sentence>The bus left.</sentence><first>The bus left.</first><second>A bus.</second>"

    async def run() -> dict[Any, str]:
        async with open_models(cast, 7, log, roles=roles) as clients:
            assert set(clients) == set(seats(cast, roles))
            request = LLMRequest("critic", "m", (Message(role="user", content=compare),), Sampling(), 7)
            return {member: (await client.complete(request)).model for member, client in clients.items()}

    said = asyncio.run(run())
    assert (said["critic", 0], said["critic", 1]) == ("sim-critic", "sim-critic-2")


# Before anything is asked


@pytest.fixture(scope="module")
def endpoint() -> Any:
    with ScriptedEndpoint() as scripted:
        yield scripted


def only(*known: str) -> Script:
    """Chats with the models that it knows."""
    return lambda asked, number: (
        Answer(body=completion()) if asked.body["model"] in known else failure(404, "there is no such model")
    )


def outside(url: str, **sections: Any) -> dict[str, Any]:
    model = {"model": "m", "base_url": url}
    return {"cast": {"teacher": model, "critic": model, "judge": model, "jury": [model]}, **sections}


def test_a_simulated_cast_is_always_there() -> None:
    assert check_cast(config_of(cast={"jury": [{}, {}]}, verdict={"style": "cloze"}), Plugs())


def test_a_jury_larger_than_the_simulated_cast() -> None:
    with pytest.raises(
        ConfigError, match=r"cast\.jury\.2: the simulated cast has no sim-critic-4, only .*sim-critic-3"
    ):
        check_cast(config_of(cast={"jury": [{}, {}, {}]}), Plugs())


def test_every_juror_is_looked_for(endpoint: ScriptedEndpoint) -> None:
    endpoint.models, endpoint.chat = lambda asked, number: Answer(body=model_list("m")), only("m")
    assert check_cast(config_of(**outside(endpoint.base_url)), Plugs()) is False
    jury = [{"model": "m", "base_url": endpoint.base_url}, {"model": "n", "base_url": endpoint.base_url}]
    with pytest.raises(EndpointSetupError, match=r"cast\.jury\.1: .* has no model 'n'"):
        check_cast(config_of(cast={"jury": jury}), Plugs())


def test_a_critic_alone_is_checked_where_it_alone_is_asked(endpoint: ScriptedEndpoint) -> None:
    endpoint.models, endpoint.chat = lambda asked, number: Answer(body=model_list("m")), only("m")
    elsewhere = {"model": "gone", "base_url": endpoint.base_url}
    assert check_cast(config_of(cast={"teacher": elsewhere, "judge": elsewhere}), Plugs(), roles=("critic",))
    with pytest.raises(EndpointSetupError, match=r"cast\.critic: "):
        check_cast(config_of(cast={"critic": elsewhere}), Plugs(), roles=("critic",))


def test_cloze_needs_critics_that_score_prompts_and_asks_nothing_of_the_teacher(endpoint: ScriptedEndpoint) -> None:
    def script(asked: Asked, number: int) -> Answer:
        if asked.path.endswith("/chat/completions"):
            return Answer(body=completion())
        logprobs = {"tokens": ["a", "b", "c"], "token_logprobs": [None, -1.0, -2.0]}
        scored = {"id": "c", "object": "text_completion", "created": 0, "model": "m"}
        scored["choices"] = [{"index": 0, "text": "", "finish_reason": "length", "logprobs": logprobs}]
        return Answer(body=scored) if asked.body["model"] == "m" else failure(404, "no such route")

    endpoint.models, endpoint.chat = lambda asked, number: Answer(body=model_list("m", "chatty")), script
    chatty = {"model": "chatty", "base_url": endpoint.base_url}
    settings = outside(endpoint.base_url, verdict={"style": "cloze"})
    settings["cast"]["teacher"] = chatty
    assert check_cast(config_of(**settings), Plugs()) is False
    settings["cast"]["judge"] = chatty
    with pytest.raises(EndpointSetupError, match=r"cast\.judge: .*does not score prompts"):
        check_cast(config_of(**settings), Plugs())


@pytest.mark.parametrize("style", ["reason", "cloze"])
def test_a_style_that_the_task_has_no_prompt_for(tmp_path: Path, style: str) -> None:
    from importlib.resources import files

    import yaml

    task = yaml.safe_load(files("openmic.agents").joinpath("tasks", "humor.yaml").read_text(encoding="utf-8"))
    del task["judge"][style]
    path = tmp_path / "task.yaml"
    path.write_text(yaml.safe_dump(task), encoding="utf-8")
    with pytest.raises(TaskError, match=rf"judge\.{style}"):
        check_cast(config_of(task=str(path), verdict={"style": style}), Plugs())
    assert check_cast(config_of(task=str(path), verdict={"style": style}), Plugs(), roles=("critic",))
