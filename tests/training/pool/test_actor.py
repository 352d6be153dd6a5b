import asyncio
from pathlib import Path

import pytest

from openmic.core.errors import OverloadError
from openmic.core.records import AdapterRef
from openmic.training.pool.actor import RestartedError, StudentHost

from .cheap_worker import asked, cheap, notes


def test_it_holds_so_many_requests_and_refuses_more_until_one_is_answered_or_given_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        host = StudentHost(cheap(tmp_path / "diary", seconds=600), max_in_flight=2)
        life, _ = await host.describe()
        held = [asyncio.ensure_future(host.generate(life, asked(f"r{i}"))) for i in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadError, match=r"holds 2 already; raise student\.pool\.max_in_flight, now 2"):
            await host.generate(life, asked("r2"))
        held[0].cancel()
        await asyncio.sleep(0)
        another = asyncio.ensure_future(host.generate(life, asked("r3")))
        await asyncio.sleep(0)
        assert not another.done()
        held[1].cancel()
        another.cancel()

    asyncio.run(scenario())


def test_calls_for_another_life_of_the_process_are_refused_and_do_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        host = StudentHost(cheap(tmp_path / "diary"), max_in_flight=2)
        life, version = await host.describe()
        assert version == 0
        with pytest.raises(RestartedError):
            await host.generate("another", asked("r"))
        with pytest.raises(RestartedError):
            await host.load_adapter("another", AdapterRef(1, "one"), True)
        assert notes(tmp_path / "diary", "") == ["started"]
        assert await host.load_adapter(life, AdapterRef(1, "one"), True) == (1, 0.01)
        assert await host.describe() == (life, 1)
        other, _ = await StudentHost(cheap(tmp_path / "diary"), max_in_flight=2).describe()
        assert other != life

    asyncio.run(scenario())
