"""Judging stored transcripts again with another critic: no text is generated, and the old verdicts stay.

Every comparison of the campaign's critic is asked anew in both orders, about the same texts. The new verdicts belong to
a run of their own, with the preferences they make, so a student can be trained on either critic's.
"""

import asyncio

from ...agents.verdicts.verdict import Verdict
from ...core.concurrency import bounded
from ...core.config import RunConfig, saved_config
from ...core.errors import ITEM_ERRORS, ConfigError, EndpointError
from ...core.ids import derive_id
from ...core.records import Stage
from ...store import Dialogue, Run, Store, Turn, VerdictRow
from ...store.writes import adding_new
from ..context.plugs import Plugs
from ..context.prices import check_priced
from ..context.progress import Progress, live_note
from ..context.run_context import RunContext
from ..preflight.checks import check_cast
from ..rollout.overused import overused_before
from ..rollout.recording import asked_from, finish_dialogue, record_verdict
from .derive import begin_derived, derived_config, recalled
from .execution import execute
from .objects import check_objects
from .opened import opened
from .provenance import template_rows


def start_rejudging(
    store: Store,
    source: Run,
    *,
    overrides: list[str],
    arguments: list[str],
    progress: Progress,
    plugs: Plugs | None = None,
    ask: bool = True,
) -> Run:
    """Ask a new critic about all that a campaign's critic compared, as a run of its own; returns it finished.

    Raises:
        ConfigError: an override is wrong, or the run compared nothing.
        EndpointError: not one comparison was answered.
    """
    campaign = store.campaign_of(source)
    if not critics_verdicts(store, campaign.id):
        raise ConfigError(f"run {campaign.id} holds no verdict of a critic to judge again")
    config = derived_config("rejudge", saved_config(campaign), overrides)
    check_priced(config, roles=("critic",))
    plugs = recalled(campaign, config, plugs)
    _check_objects(store, campaign, config, plugs)
    simulated = check_cast(config, plugs, roles=("critic",), ask=ask)
    run = begin_derived(store, "rejudge", campaign, config, plugs=plugs, simulated=simulated, arguments=arguments)
    return _carry_out(store, run, plugs, progress)


def resume_rejudging(
    store: Store, run: Run, progress: Progress, *, plugs: Plugs | None = None, ask: bool = True
) -> Run:
    """Go on with a rejudging that was interrupted; what was answered is not asked again."""
    config, plugs = saved_config(run), plugs or Plugs()
    _check_objects(store, run, config, plugs)
    check_cast(config, plugs, roles=("critic",), ask=ask)
    return _carry_out(store, run, plugs, progress)


def _check_objects(store: Store, run: Run, config: RunConfig, plugs: Plugs) -> None:
    check_objects(store, run, config, plugs, roles=("critic",), objective=False, engine=False, scorers=False)


def _carry_out(store: Store, run: Run, plugs: Plugs, progress: Progress) -> Run:
    async def rejudge(run: Run) -> None:
        async with opened(store, run, progress, plugs=plugs, roles=("critic",)) as context:
            store.add_new(*template_rows(context.task))
            await Rejudging(context).judge_all()

    return execute(store, run.id, rejudge)


class Rejudging:
    """One rejudging, whose context is open."""

    def __init__(self, context: RunContext) -> None:
        assert context.run.source_run_id is not None
        self._context, self._source = context, context.run.source_run_id
        self._store, self._run, self._critic = context.store, context.run, context.critic
        self._overused: dict[int, list[str]] = {}

    async def judge_all(self) -> None:
        """Ask about every verdict of the campaign's critic.

        Raises:
            EndpointError: not one comparison was answered.
        """
        verdicts: dict[str, list[VerdictRow]] = {}
        for verdict in critics_verdicts(self._store, self._source):
            verdicts.setdefault(verdict.dialogue_id, []).append(verdict)
        with self._context.progress.bar("rejudge", len(verdicts), "dialogues") as bar:

            async def one(dialogue_id: str) -> None:
                await self._judge(dialogue_id, verdicts[dialogue_id])
                bar.advance()

            at_once = self._context.at_once(len(verdicts), self._context.config.cast.critic.max_concurrency)
            async with live_note(bar, self._context.trouble), self._context.llm.batching.open("rejudge"):
                await bounded(one, list(verdicts), at_once)
        if not self._store.count(VerdictRow, run_id=self._run.id):
            failed = self._store.select(Dialogue, run_id=self._run.id, status="failed", limit=1)
            raise EndpointError(f"the critic answered no comparison: {failed[0].error if failed else 'none was asked'}")

    async def _judge(self, source_id: str, verdicts: list[VerdictRow]) -> None:
        source = self._store.get(Dialogue, source_id)
        assert source is not None
        identity = derive_id(self._run.id, Stage.REJUDGE, source.id)
        begun = Dialogue(
            id=identity,
            run_id=self._run.id,
            stage=Stage.REJUDGE,
            round=source.round,
            example_id=source.example_id,
            prompt_hash=source.prompt_hash,
        )
        await self._store.keep(adding_new(begun))
        dialogue = self._store.get(Dialogue, identity)
        assert dialogue is not None
        if dialogue.status == "finished":
            return
        found, seq = list[Verdict | BaseException](), 0
        if self._context.llm.batching:  # all at once, so that they go into one batch
            asked = (self._compare(source, dialogue, verdict, 0) for verdict in verdicts)
            found = await asyncio.gather(*asked, return_exceptions=True)
        try:
            for place, verdict in enumerate(verdicts):
                comparison = found[place] if found else await self._compare(source, dialogue, verdict, seq)
                if isinstance(comparison, BaseException):
                    raise comparison
                _, seq = await record_verdict(
                    self._store, dialogue, seq, comparison, *self._texts(verdict), source=verdict.source
                )
        except ITEM_ERRORS as error:
            await finish_dialogue(self._store, dialogue, error=error)
            return
        await finish_dialogue(self._store, dialogue, stop_reason="judged again")

    async def _compare(self, source: Dialogue, dialogue: Dialogue, verdict: VerdictRow, seq: int) -> Verdict:
        """The critic on the texts of a verdict.

        Traces say that what it says is of `dialogue` from the place `seq` on. In batches that is the first for all
        comparisons of a dialogue: the place of each follows from what is said in those before it.
        """
        example, (first, second) = self._context.example(source.example_id), self._texts(verdict)
        with asked_from(dialogue, seq):
            return await self._critic.compare(
                example.value, first.content, second.content, overused=self._overused_in(source)
            )

    def _texts(self, verdict: VerdictRow) -> tuple[Turn, Turn]:
        return self._turn(verdict.first_turn_id), self._turn(verdict.second_turn_id)

    def _turn(self, identity: str) -> Turn:
        turn = self._store.get(Turn, identity)
        assert turn is not None
        return turn

    def _overused_in(self, dialogue: Dialogue) -> list[str]:
        """What the old critic was told had been heard too often, so that both were asked the same."""
        if dialogue.stage is not Stage.COLLECT:
            return []
        if dialogue.round not in self._overused:
            self._overused[dialogue.round] = overused_before(self._store, self._source, dialogue.round)
        return self._overused[dialogue.round]


def critics_verdicts(store: Store, run_id: str) -> list[VerdictRow]:
    """What a run's critic compared for the student to learn from, in order; evaluations are left out."""
    found = store.select(VerdictRow, run_id=run_id, agent="critic", order_by="created_at")
    return [verdict for verdict in found if verdict.source is not None]


def verdict_pairs(store: Store, run: Run) -> list[tuple[VerdictRow, VerdictRow]]:
    """Old and new verdict on each comparison that a rejudging repeated."""
    assert run.source_run_id is not None
    new = {(v.first_turn_id, v.second_turn_id): v for v in store.select(VerdictRow, run_id=run.id, agent="critic")}
    old = critics_verdicts(store, run.source_run_id)
    keyed = ((verdict, new.get((verdict.first_turn_id, verdict.second_turn_id))) for verdict in old)
    return [(before, after) for before, after in keyed if after is not None]
