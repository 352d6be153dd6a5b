"""What a trace says of a request, where traces are collected: for which run, dialogue and turn it is made."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from langchain_core.runnables import RunnableConfig

from ...core.records import LLMRequest

_asked_for: ContextVar[Mapping[str, str] | None] = ContextVar("asked_for", default=None)


@contextmanager
def asked_for(*, run: str, dialogue: str, turn: str) -> Iterator[None]:
    """Have every request within the block say that it is for this.

    Args:
        run: The run's id.
        dialogue: The dialogue's id.
        turn: The id of the turn that the reply becomes; of several turns that are asked for together, the first.
    """
    token = _asked_for.set({"openmic_run": run, "openmic_dialogue": dialogue, "openmic_turn": turn})
    try:
        yield
    finally:
        _asked_for.reset(token)


def traced(request: LLMRequest) -> RunnableConfig:
    """What LangChain tells whoever listens: the role, and as metadata the ids that the store has.

    `openmic_request` is the `request_key` of exactly those turns that the reply becomes.
    """
    known = _asked_for.get() or {}
    return {"run_name": request.role, "metadata": {**known, "openmic_request": request.key}}
