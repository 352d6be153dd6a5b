"""Functions of other people's, for tasks to name: good ones and bad ones."""

from collections.abc import Mapping

from openmic.agents.tasks.task import Task
from openmic.core.records import Input

STUDENT = {"system": "Make it funny."}


def tidy(text: str) -> str:
    return text.removesuffix("!").strip()


class Without:
    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, text: str, source: Input) -> str | None:
        return f"says {self.word}" if self.word in text.lower() else None


def mentions_context(text: str, source: Input) -> str | None:
    assert isinstance(source, Mapping)
    return None if source["context"].split()[0] in text else "leaves the context out"


def fails_on_buses(text: str, source: Input) -> str | None:
    if "bus" in text:
        raise LookupError("no bus known")
    return None


def fails(text: str) -> str:
    raise ValueError("I never work")


def no_text(text: str) -> str:
    return text.split()  # type: ignore[return-value]  # that is what is tried


def yes(text: str, source: Input) -> str | None:
    return True  # type: ignore[return-value]  # that is what is tried


async def later(text: str) -> str:
    return text


NOT_CALLABLE = 7
LIMERICK = Task("limerick", student=STUDENT, gates=Without("nantucket"))


def make_limerick() -> Task:
    return Task("limerick-made", student=STUDENT)


def make_nothing() -> None:
    raise RuntimeError("out of rhymes")
