import asyncio
from collections.abc import Callable

import pytest

from openmic.core.errors import GenerationError, MemoryFullError, StudentLostError, UnansweredError
from openmic.core.records import Generation, GenerationRequest
from openmic.training.pool.own_fault import OwnFault

from ..factories import request


class Students:
    """Answer, unless `fails` says what they raise for a request."""

    def __init__(self, fails: Callable[[GenerationRequest], Exception | None]) -> None:
        self.fails = fails
        self.asked: list[str] = []
        self.hurried: list[bool] = []
        self.together = self.most_together = 0

    async def __call__(self, one: GenerationRequest) -> Generation:
        self.asked.append(one.id)
        self.hurried.append(one.hurried)
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        if (error := self.fails(one)) is not None:
            raise error
        return Generation(one.id, "", (), 1, one.adapter, "stop", 0.0, 0.0, "w")


@pytest.mark.parametrize("kind", [GenerationError, UnansweredError])
def test_where_nothing_is_answered_it_is_nobodys_own_fault(kind: type[Exception]) -> None:
    students = Students(lambda one: kind(f"{one.id} is not answered"))
    with pytest.raises(
        StudentLostError, match=r"^r is not answered; a plain request is not answered either, so no item"
    ):
        asyncio.run(OwnFault(students).ask(request()))
    assert students.asked == ["r", "plain-1"]


@pytest.mark.parametrize(
    ("kind", "asked"),
    [(GenerationError, ["r", "plain-1"]), (UnansweredError, ["r", "plain-1", "r", "plain-2"])],
)
def test_where_another_is_answered_it_is(kind: type[Exception], asked: list[str]) -> None:
    students = Students(lambda one: kind("too long") if one.id == "r" else None)
    with pytest.raises(GenerationError, match=r"^too long$"):
        asyncio.run(OwnFault(students).ask(request()))
    assert students.asked == asked
    assert students.hurried == [False] + [True] * (len(asked) - 1)  # what only finds out takes no second hour


def test_the_plain_request_has_the_same_adapter() -> None:
    students = Students(lambda one: GenerationError("not loaded") if one.adapter == 3 else None)
    with pytest.raises(StudentLostError, match="not loaded"):
        asyncio.run(OwnFault(students).ask(request(adapter=3)))


def test_what_failed_beside_one_that_takes_others_along_is_answered() -> None:
    """As a process that dies takes all that it holds."""

    def fails(one: GenerationRequest) -> Exception | None:
        poisoned = one.id == "poison" or (students.together > 0 and "poison" in students.asked[-8:])
        return UnansweredError("it died") if poisoned else None

    async def scenario() -> None:
        fault = OwnFault(students)
        names = ["a", "b", "poison", "c", "d"]
        found = await asyncio.gather(*(fault.ask(request(id=name)) for name in names), return_exceptions=True)
        assert [getattr(each, "request_id", type(each)) for each in found] == ["a", "b", GenerationError, "c", "d"]

    students = Students(fails)
    asyncio.run(scenario())


@pytest.mark.parametrize("answered", [True, False])
def test_a_long_queue_is_no_lost_student(answered: bool) -> None:
    """What is answered meanwhile says that it lives, though the plain request waited in vain."""

    async def scenario() -> None:
        async def sent(one: GenerationRequest) -> Generation:
            if one.id.startswith("plain") and answered:
                await fault.ask(request(id="quick"))
            return await students(one)

        fault = OwnFault(sent)
        with pytest.raises(GenerationError if answered else StudentLostError, match="no reply"):
            await fault.ask(request())

    students = Students(lambda one: None if one.id == "quick" else UnansweredError("no reply"))
    asyncio.run(scenario())


def test_many_that_fail_for_themselves_are_found_out_about_with_one_question() -> None:
    students = Students(lambda one: None if one.id.startswith("plain") else GenerationError("too long"))

    async def scenario() -> None:
        fault = OwnFault(students)
        found = await asyncio.gather(*(fault.ask(request(id=str(n))) for n in range(50)), return_exceptions=True)
        assert {type(each) for each in found} == {GenerationError}

    asyncio.run(scenario())
    assert sum(name.startswith("plain") for name in students.asked) == 1


def test_students_that_are_lost_while_one_is_tried_again_are_told_of() -> None:
    def fails(one: GenerationRequest) -> Exception | None:
        return None if one.id == "plain-1" else UnansweredError("they are gone")

    with pytest.raises(StudentLostError, match=r"they are gone; a plain"):
        asyncio.run(OwnFault(Students(fails)).ask(request()))


@pytest.mark.parametrize("error", [StudentLostError("no key"), MemoryFullError("full")])
def test_what_is_certain_is_asked_nothing_about(error: Exception) -> None:
    students = Students(lambda _: error)
    with pytest.raises(type(error), match=str(error)):
        asyncio.run(OwnFault(students).ask(request()))
    assert students.asked == ["r"]
