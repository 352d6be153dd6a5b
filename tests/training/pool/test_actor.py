import asyncio
import os
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from openmic.core.errors import GenerationError, OverloadError, StudentError
from openmic.core.records import AdapterRef, Generation, GenerationRequest
from openmic.core.student_settings import StudentSettings
from openmic.training.pool.actor import RestartedError, StudentActor, configured_engine
from openmic.training.student.fingerprint import ANY_FILES

from ..factories import request
from .cheap_engine import CheapEngine, asked, cheap, notes


def test_it_holds_so_many_requests_and_refuses_more_until_one_is_answered_or_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        actor = StudentActor(cheap(tmp_path / "diary", seconds=600), max_in_flight=2)
        incarnation = await actor.describe()
        held = [asyncio.ensure_future(actor.generate(incarnation, asked(f"r{i}"))) for i in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadError, match=r"holds 2 already; raise student\.pool\.max_in_flight, now 2"):
            await actor.generate(incarnation, asked("r2"))
        held[0].cancel()
        await asyncio.sleep(0)
        another = asyncio.ensure_future(actor.generate(incarnation, asked("r3")))
        await asyncio.sleep(0)
        assert not another.done()
        held[1].cancel()
        another.cancel()

    asyncio.run(scenario())


def test_calls_for_another_incarnation_of_the_process_are_refused_and_do_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        actor = StudentActor(cheap(tmp_path / "diary"), max_in_flight=2)
        incarnation = await actor.describe()
        with pytest.raises(RestartedError):
            await actor.generate("another", asked("r"))
        with pytest.raises(RestartedError):
            await actor.load_adapter("another", AdapterRef(1, "one"), [])
        assert notes(tmp_path / "diary", "") == ["started"]
        assert await actor.load_adapter(incarnation, AdapterRef(1, "one"), []) == 0.01
        assert await actor.load_adapter(incarnation, AdapterRef(1, "one"), []) == 0.0  # it had that already
        assert (await actor.generate(incarnation, asked("r", adapter=1))).adapter_version == 1
        assert await actor.describe() == incarnation
        assert await StudentActor(cheap(tmp_path / "diary"), max_in_flight=2).describe() != incarnation

    asyncio.run(scenario())


def test_its_engine_is_the_one_that_the_settings_name(tiny_causal: Path, adapters: list[AdapterRef]) -> None:
    async def scenario() -> None:
        settings = StudentSettings(model=str(tiny_causal), device="cpu", batch_wait_ms=1.0)
        actor = StudentActor(lambda: configured_engine(settings, 1, None, None, ANY_FILES), max_in_flight=2)
        incarnation = await actor.describe()
        await actor.load_adapter(incarnation, adapters[0], [])
        generation = await actor.generate(incarnation, request(adapter=1))
        assert (generation.adapter_version, generation.worker) == (1, f"{gethostname()}/pid-{os.getpid()}")

    asyncio.run(scenario())


def test_an_engine_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    settings = StudentSettings(model=str(tmp_path / "nowhere"), device="cpu")
    with pytest.raises(StudentError, match="is not a folder"):
        StudentActor(lambda: configured_engine(settings, 1, None, None, ANY_FILES), max_in_flight=2)


class Giving(CheapEngine):
    """Gives whatever it was made with."""

    def __init__(self, diary: str, what: Any) -> None:
        super().__init__(diary, 0.0, 0.0)
        self._what = what

    async def generate(self, request: GenerationRequest) -> Generation:
        return self._what  # type: ignore[no-any-return]  # that is what is tried


@pytest.mark.parametrize("what", [None, "a text", {"text": "a"}])
def test_what_an_engine_gives_has_to_be_a_generation(what: Any, tmp_path: Path) -> None:
    async def scenario() -> None:
        actor = StudentActor(lambda: Giving(str(tmp_path / "diary"), what), max_in_flight=2)
        with pytest.raises(
            GenerationError, match=r"the engine gave .* for the request 'r'; its `generate` is to return"
        ):
            await actor.generate(await actor.describe(), asked("r"))

    asyncio.run(scenario())
