"""A worker's end of what it and the driver tell each other."""

import asyncio

import pytest

from openmic.core.errors import BudgetError, StoreFullError
from openmic.core.records import Generation, GenerationRequest, StudentSampling
from openmic.graph.workers.messages import Answer, Asked, Kept, Told
from openmic.graph.workers.outbox import Outbox, ToldAllowance, ToldProgress
from openmic.store import Dialogue, Store
from openmic.store.writes import updating

WRITE = updating(Dialogue, "d1", status="finished")
REQUEST = GenerationRequest("r", (), StudentSampling(), 1, 0)
SAID = Generation("r", "words", (1,), 1, 0, "stop", 0.0, 0.0, "w")


def test_news_are_taken_in_their_order_and_answers_find_who_asked() -> None:
    async def act() -> None:
        outbox = Outbox()
        first = outbox.keep(WRITE)
        asking = asyncio.create_task(outbox.generate(REQUEST))
        await asyncio.sleep(0)
        ToldProgress(outbox).print("a line")
        second = outbox.keep(WRITE)
        assert await outbox.taken() == [Kept(1, WRITE), Asked(2, REQUEST), Told("a line"), Kept(3, WRITE)]
        outbox.answer(Answer(2, SAID))
        assert await asking == SAID
        await outbox.settled(0.01)  # the first write and the second are not committed, and that is not waited for
        outbox.answer(Answer(1))
        outbox.answer(Answer(3, error=StoreFullError("no room")))
        await first
        with pytest.raises(StoreFullError):
            await second
        await outbox.settled(60)

    asyncio.run(act())


def test_nothing_is_asked_any_more_once_the_driver_says_that_the_budget_is_spent() -> None:
    stopped: list[bool] = []
    allowance = ToldAllowance(Outbox(), None)
    allowance.when_spent(lambda: stopped.append(True))
    allowance.check()
    allowance.spend(BudgetError("spent"))
    assert stopped == [True]
    with pytest.raises(BudgetError):
        allowance.check()


def test_a_store_that_hands_writes_on_is_read_here_and_learns_of_a_full_disk(store: Store) -> None:
    async def act() -> None:
        outbox = Outbox()
        with Store.open_handing_on(store.address, outbox.keep) as handing:
            assert handing.count(Dialogue) == 0
            keeping = asyncio.create_task(handing.keep(WRITE))
            await outbox.taken()
            handing.require_room()
            outbox.answer(Answer(1, error=StoreFullError("no room")))
            with pytest.raises(StoreFullError):
                await keeping
            with pytest.raises(StoreFullError):
                handing.require_room()

    asyncio.run(act())
