"""One comparison, one critique or one dialogue by itself: no run is recorded, and nothing is kept.

For looking at a critic or at a dialogue before a campaign is paid for. The agents and the dialogue's graph are those of
a campaign; the student generates in this process, without Ray.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import cast

from ...agents.critique import Critique
from ...agents.endpoints.client import OpenAIClient
from ...agents.llm import LLM
from ...agents.tasks.task import Task
from ...agents.verdicts.verdict import Verdict
from ...core.config import RunConfig
from ...core.errors import ConfigError, GenerationError, OpenmicError
from ...core.files.scratch import scratch_folder
from ...core.ids import new_id
from ...core.records import (
    AdapterRef,
    Example,
    Generation,
    GenerationRequest,
    Input,
    LLMReply,
    LLMRequest,
    Role,
    Stage,
)
from ...store import Conversation, Store
from ...training.engines.choose import make_engine
from ...training.engines.engine import StudentEngine, read_generation
from ...training.pool.pool import StudentPool
from ..context.cast import Cast, Casting
from ..context.engine import engine_of
from ..context.models import open_models
from ..context.opening import open_run_context, prepare_weights
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..context.seats import Seat, seat_model, seats
from ..context.train_gate import TrainGate
from ..rollout.holding import hold
from ..rollout.recording import open_dialogue
from .provenance import run_record
from .start import record_run


async def compare_once(
    config: RunConfig, task: Task, plugs: Plugs, role: Role, source: Input, first: str, second: str
) -> Verdict:
    """The critic's or the judge's verdict on two texts, asked in both orders.

    Raises:
        ConfigError: a Python object cannot be had.
        EndpointError: an endpoint does not answer.
        ReplyError: what it answers names neither text.
    """
    async with AsyncExitStack() as stack:
        found = await _cast(stack, config, task, plugs, role)
        jury = found.critic if role == "critic" else found.judge
        assert jury is not None
        return await jury.compare(source, first, second)


async def criticise_once(config: RunConfig, task: Task, plugs: Plugs, source: Input, text: str) -> Critique:
    """The critic's critique of one text.

    Raises:
        ConfigError: the critic writes none, or cannot be had.
        EndpointError: an endpoint does not answer.
    """
    async with AsyncExitStack() as stack:
        critic = (await _cast(stack, config, task, plugs, "critic")).critic
        assert critic is not None
        if not critic.writes:
            name = seat_model(("critic", 0), config.cast.critic)
            raise ConfigError(f"the critic {name} has no `criticise`, so it writes no critiques")
        return (await critic.criticise(source, text))[1]


async def hold_once(
    config: RunConfig, task: Task, plugs: Plugs, example: Example, adapter: AdapterRef, progress: Progress
) -> Conversation:
    """One dialogue about one input, with everything that was said in it.

    Raises:
        ConfigError: a Python object cannot be had.
        EndpointLostError: the simulated cast does not start.
        StudentError: the student cannot be had.
    """
    async with AsyncExitStack() as stack:
        home = stack.enter_context(scratch_folder("single"))
        store = stack.enter_context(Store.open(str(home / "store.db")))
        config = config.settled()
        run = run_record(new_id(), config, task, simulated=False, plugs={}, home=store.recorded(home), arguments=[])
        row = record_run(store, run, task, [example])
        prepare_weights(config, progress)
        threads = config.training.threads or os.cpu_count() or 1
        students = LocalStudents(make_engine(config.student, threads=threads, engine=engine_of(plugs, config.student)))
        stack.push_async_callback(students.close)
        opened = open_run_context(store, row, progress, plugs=plugs, roles=("teacher", "critic"))
        context = await stack.enter_async_context(opened)
        context.pool, context.train_gate = cast(StudentPool, students), TrainGate(overlapped=True)
        await students.load_adapter(adapter)
        dialogue = await open_dialogue(context, Stage.COLLECT, 1, example)
        await hold(context, dialogue, adapter.version, [])
        return store.conversation(dialogue.id)


class LocalStudents:
    """An engine of this process in place of a pool of actors."""

    def __init__(self, engine: StudentEngine) -> None:
        self._engine = engine

    async def generate(self, request: GenerationRequest) -> Generation:
        """As `StudentPool.generate`."""
        with _own_errors("generate"):
            return read_generation(await self._engine.generate(request), request)

    async def load_adapter(self, ref: AdapterRef) -> None:
        """As `StudentPool.load_adapter`."""
        with _own_errors("load"):
            await self._engine.load(ref)

    async def close(self) -> None:
        """Let go of the student."""
        await self._engine.close()


@contextmanager
def _own_errors(method: str) -> Iterator[None]:
    """What an engine of other people's raises, as it would come out of an actor."""
    try:
        yield
    except OpenmicError:
        raise
    except Exception as error:  # other people's code may raise anything
        raise GenerationError(f"the engine's `{method}` failed: {type(error).__name__}: {error}") from error


class _Direct(LLM):
    """Asks the endpoints without keeping what they reply."""

    def __init__(self, clients: Mapping[Seat, OpenAIClient]) -> None:
        self._clients = clients

    async def complete(self, request: LLMRequest) -> LLMReply:
        return await self._clients[request.role, request.member].complete(request)


async def _cast(stack: AsyncExitStack, config: RunConfig, task: Task, plugs: Plugs, role: Role) -> Cast:
    asked = any(settings.asked for settings in seats(config.cast, (role,)).values())
    log = stack.enter_context(scratch_folder("single")) / "simulated-cast.jsonl" if asked else Path()
    clients = await stack.enter_async_context(open_models(config.cast, config.seed, log, roles=(role,)))
    return Casting(config, task, _Direct(clients), plugs).cast((role,))
