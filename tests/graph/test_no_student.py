"""Students that cannot be started end a campaign while the teacher demonstrates, and not after a training."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from openmic.core.errors import StudentLostError
from openmic.graph.campaign import _unless_there_is_no_student


def context(ready: Any) -> Any:
    return SimpleNamespace(pool=SimpleNamespace(ready=ready))


async def later(done: list[str], seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
        done.append("demonstrated")
    except asyncio.CancelledError:
        done.append("given up")
        raise


def test_the_demonstrations_are_given_up_where_no_student_can_be_started() -> None:
    async def ready() -> None:
        raise StudentLostError("no student could be started")

    done: list[str] = []
    with pytest.raises(StudentLostError, match="no student could be started"):
        asyncio.run(_unless_there_is_no_student(context(ready), later(done, 60)))
    assert done == ["given up"]


@pytest.mark.parametrize("starts_in_s", [0.0, 0.05, 60.0])
def test_they_are_done_whenever_the_student_is(starts_in_s: float) -> None:
    async def ready() -> None:
        await asyncio.sleep(starts_in_s)

    done: list[str] = []
    asyncio.run(_unless_there_is_no_student(context(ready), later(done, 0.02)))
    assert done == ["demonstrated"]
