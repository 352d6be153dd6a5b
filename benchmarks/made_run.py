"""A run that is put together without a campaign, for what its dialogues take: inputs, its row in a store, its context.

With `stand_in` the student answers at once, so that neither it nor its pool is measured.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from openmic.agents.tasks.task import load_task
from openmic.core.config import RunConfig
from openmic.core.ids import content_hash, new_id
from openmic.core.records import AdapterRef, Example, Generation, GenerationRequest, Role, Split
from openmic.graph.context.opening import open_run_context
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.progress import Progress
from openmic.graph.context.run_context import RunContext
from openmic.graph.context.seats import ROLES
from openmic.graph.context.train_gate import TrainGate
from openmic.graph.runs.provenance import run_record
from openmic.graph.runs.start import record_run
from openmic.store import Adapter, Store
from openmic.training.pool.pool import StudentPool

AT_ONCE = 64
"""Dialogues, and half as many calls."""
ENDINGS = (
    "which nobody had asked for",
    "and the umbrella took it personally",
    "as if it were paid by the hour",
    "so we held a small funeral with soup",
    "and my neighbour wrote a song about it",
    "because Mondays need something to do",
    "which is more than my brother does",
    "and it has asked for a lawyer since",
)


class StandIn:
    """In a pool's place: answers at once, with an ending of its own behind the input."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._texts = {example.id: example.text for example in examples}

    async def generate(self, request: GenerationRequest) -> Generation:
        """The input, put another way."""
        said = self._texts[request.id.split(":")[2]].rstrip(".")
        ending = random.Random(request.seed).choice(ENDINGS)  # noqa: S311 - no secret
        if any(message.role == "assistant" for message in request.messages):
            said = f"Again {said[0].lower()}{said[1:]}"  # a revision, which none of the drafts says
        return Generation(request.id, f"{said}, {ending}.", (0,), 1, 0, "stop", 0.0, 0.0, "stand-in")

    async def load_adapter(self, ref: AdapterRef) -> None:
        """There is none."""

    def promote(self, version: int) -> None:
        """There is none."""

    def stats(self) -> str:
        """Nothing."""
        return ""


def kettles(count: int) -> list[Example]:
    """So many inputs."""
    texts = [f"The kettle in kitchen number {n} broke again on my way to work." for n in range(count)]
    return [Example(content_hash(text), text, Split.TRAIN) for text in texts]


@asynccontextmanager
async def made_run(
    config: RunConfig, examples: Sequence[Example], progress: Progress, roles: Sequence[Role] = ROLES
) -> AsyncIterator[RunContext]:
    """A run on these inputs in a new store in its home, ready for its first round of dialogues."""
    config, task = config.settled(), load_task(config.task)
    with Store.open(str(config.home / "store.db")) as store:
        simulated = config.cast.critic.simulated
        run = run_record(new_id(), config, task, simulated=simulated, plugs={}, home=config.home, arguments=[])
        row = record_run(store, run, task, examples)
        base = Adapter(id="base", run_id=row.id, version=0, stage="base", round=0, base_model="none", status="promoted")
        store.add(base)
        async with open_run_context(store, row, progress, plugs=Plugs(), roles=roles) as context:
            yield context


def stand_in(context: RunContext) -> None:
    """Have a stand-in answer for the student, which waits for no trainer."""
    context.pool = cast(StudentPool, StandIn(context.examples))
    context.train_gate = TrainGate(overlapped=True)
