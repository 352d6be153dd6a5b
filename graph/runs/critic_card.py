"""A critic before pairs that people labelled: it is asked for its verdicts, and its card is made of them.

What endpoints reply is kept in a store of the critic's own beneath the home, by the content of each request, so that an
interrupted card goes on and the same critic is never asked the same again, on whatever pairs. Nothing of it is a run.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ...agents.endpoints.access import endpoint_url
from ...agents.tasks.task import Task
from ...core.concurrency import bounded, run_to_end
from ...core.config import RunConfig
from ...core.endpoints.secrets import hidden
from ...core.errors import ITEM_ERRORS, StoreError
from ...core.files.private import private_folder
from ...core.files.scratch import scratch_folder
from ...core.ids import content_hash
from ...core.section import unwritable
from ...evaluation.card.card import CriticCard, JudgedPair, critic_card
from ...evaluation.card.pairs import LabelledPair
from ...store import LLMCall, Run, Store
from ..context.cast import Casting
from ..context.models import simulated_seed
from ..context.opening import open_run_context
from ..context.plugs import Plugs
from ..context.progress import Progress
from ..context.reuse import ASKED_ALIKE, OF_THE_CAST
from ..context.seats import seat_model, seats
from ..preflight.checks import check_cast
from ..preflight.objects import NobodyAsked
from .execution import locked
from .provenance import run_record
from .start import record_run


@dataclass(frozen=True, slots=True)
class CardFound:
    """A critic's card, and what came of asking it."""

    critic: tuple[str, ...]
    """The critic and its jurors, by name."""
    simulated: bool
    """Whether all of them are the simulated cast."""
    card: CriticCard | None
    """None where it gave no verdict on any pair."""
    failed: dict[str, int]
    """On how many pairs it gave no verdict, by what went wrong."""
    replies: int
    """Of endpoints, that the verdicts rest on."""
    asked: int
    """Of them, those that were asked for now and not kept from earlier."""


def card_of(
    config: RunConfig, plugs: Plugs, pairs: Sequence[LabelledPair], progress: Progress, *, ask: bool = True
) -> CardFound:
    """Ask the configuration's critic about labelled pairs, in both orders, and see how far it agrees.

    Args:
        config: Whose critic, jury, task, verdicts and budget.
        plugs: Python objects that were given beside it.
        pairs: At least one.
        progress: Where to show what happens.
        ask: Whether endpoints are asked beforehand whether they answer.

    Raises:
        ConfigError: the critic cannot be had, or another process is asking it.
        BudgetError: the budget is spent; what was answered is kept.
        InterruptedRunError: likewise.
    """
    task = plugs.task(config.task)
    sitting = seats(config.cast, ("critic",))
    _try(config, plugs, task, pairs[0])
    simulated = check_cast(config, plugs, roles=("critic",), ask=ask)
    judged: dict[int, JudgedPair] = {}
    failed: Counter[str] = Counter()
    with ExitStack() as stack:
        if any(settings.asked for settings in sitting.values()):
            if (problem := unwritable(config.home)) is not None:
                raise StoreError(f"home {str(config.home)!r} cannot be written: {problem}; set home")
            folder = config.home.absolute() / "critic-cards" / _key(config, task)
            private_folder(folder)
        else:
            folder = stack.enter_context(scratch_folder("card"))
        store = stack.enter_context(Store.open(str(folder / "replies.db")))
        run = _recorded(store, config, task, folder, simulated=simulated)
        kept = _replies(store, run)
        locked(store, run, partial(_ask, store, run, plugs, pairs, progress, judged, failed))
        replies = _replies(store, run)
    return CardFound(
        critic=tuple(seat_model(seat, settings) for seat, settings in sitting.items()),
        simulated=simulated,
        card=critic_card([judged[place] for place in sorted(judged)], config.evaluation, config.seed)
        if judged
        else None,
        failed=dict(failed),
        replies=replies,
        asked=replies - kept,
    )


def _replies(store: Store, run: Run) -> int:
    """Of endpoints, without thoughts that nobody answered with: no verdict rests on those."""
    thoughts = store.thoughts_alone(run.id)
    return store.count(LLMCall, run_id=run.id) - sum(alone.number for alone in thoughts.values())


async def _ask(
    store: Store,
    run: Run,
    plugs: Plugs,
    pairs: Sequence[LabelledPair],
    progress: Progress,
    judged: dict[int, JudgedPair],
    failed: Counter[str],
) -> None:
    async with open_run_context(store, run, progress, plugs=plugs, roles=("critic",)) as context:
        with progress.bar("critic card", len(pairs), "pairs") as bar:

            async def one(place: int) -> None:
                pair = pairs[place]
                try:
                    found = await context.critic.compare(pair.source, pair.first, pair.second)
                except ITEM_ERRORS as error:
                    failed[hidden(str(error))] += 1
                else:
                    judged[place] = JudgedPair(pair, found.outcome, found.p_forward, found.p_reverse)
                bar.advance()

            at_once = context.at_once(len(pairs), context.config.dialogue.concurrency)
            of_these = content_hash([[pair.source, pair.first, pair.second] for pair in pairs])[:16]
            async with context.llm.batching.open(f"card of {of_these}"):
                await bounded(one, range(len(pairs)), at_once)


def _try(config: RunConfig, plugs: Plugs, task: Task, pair: LabelledPair) -> None:
    """Try the Python objects among the critics on the first pair."""
    casting = Casting(config, task, NobodyAsked(), plugs)
    run_to_end(partial(casting.try_on, pair.source, (pair.first, pair.second), ("critic",)))


def _recorded(store: Store, config: RunConfig, task: Task, folder: Path, *, simulated: bool) -> Run:
    """The row that the critic's replies belong to, with the configuration of now."""
    home = store.recorded(folder)
    row = run_record(folder.name, config, task, simulated=simulated, plugs={}, home=home, arguments=[])
    if store.get(Run, folder.name) is None:
        return record_run(store, row, task, [])
    store.update(Run, folder.name, config=row.config, cost=row.cost)
    found = store.get(Run, folder.name)
    assert found is not None
    return found


def _key(config: RunConfig, task: Task) -> str:
    """Names what a critic's replies depend on beside what is asked."""
    sitting = seats(config.cast, ("critic",))
    asked: list[Any] = [
        [seat, seat_model(seat, settings), settings.model_dump(include=ASKED_ALIKE), endpoint_url(settings)]
        for seat, settings in sitting.items()
        if settings.asked and not settings.simulated
    ]
    if any(settings.simulated for settings in sitting.values()):
        asked.append(
            [
                simulated_seed(config.cast, config.seed),
                config.cast.simulated.model_dump(mode="json", exclude=OF_THE_CAST),
            ]
        )
    return content_hash([task.hash, asked])[:16]
