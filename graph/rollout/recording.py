"""Making turns: every word an agent says becomes a row that says where it came from.

A turn's id follows from its dialogue and its place in it. Saying a thing again that the store holds already returns
what it holds, so a dialogue that was interrupted is held again from its beginning without anyone being asked twice.
Rows are written off the event loop, which goes on while the store is locked. A dialogue does not wait
for its turns to be written, but for the replies that it pays for; what was handed in before is written before.
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from ...agents.cast import Demonstrations
from ...agents.critique import Critique
from ...agents.endpoints.traced import asked_for
from ...agents.llm import Exchange, Origin, PlugReply, words_of
from ...agents.overused import OVERUSED
from ...agents.tasks.task import PromptTemplate
from ...agents.verdicts.cloze import text_score
from ...agents.verdicts.verdict import Ballot, Verdict
from ...core.endpoints.secrets import hidden
from ...core.ids import content_hash, derive_id
from ...core.records import Agent, Example, GenerationRequest, Input, PreferenceSource, Stage, TurnKind
from ...core.text import ending
from ...store import BallotRow, CritiqueRow, Dialogue, PromptRow, Store, Turn, VerdictRow
from ...store.schema import now
from ...store.writer import Keeper
from ...store.writes import adding_new, updating
from ..context.run_context import RunContext
from .preferences import preference_from


async def open_dialogue(context: RunContext, stage: Stage, round_number: int, example: Example) -> Dialogue:
    """The dialogue about one input, begun now or earlier."""
    return (await open_dialogues(context, stage, round_number, [example]))[0]


async def open_dialogues(
    context: RunContext, stage: Stage, round_number: int, examples: Sequence[Example]
) -> list[Dialogue]:
    """The dialogues about these inputs, each begun now or earlier."""
    run_id = context.run.id
    prompts = [PromptRow.of(context.student.prompt(example.value)) for example in examples]
    new = [
        Dialogue(
            id=derive_id(run_id, stage, round_number, example.id),
            run_id=run_id,
            stage=stage,
            round=round_number,
            example_id=example.id,
            prompt_hash=prompt.hash,
        )
        for example, prompt in zip(examples, prompts, strict=True)
    ]
    await context.store.keep(adding_new(*prompts, *new))
    stored = {
        row.id: row for row in await context.store.patiently(context.store.select, Dialogue, id=[row.id for row in new])
    }
    return [stored[row.id] for row in new]


async def finish_dialogue(
    store: Store,
    dialogue: Dialogue,
    *,
    stop_reason: str | None = None,
    final: str | None = None,
    error: Exception | None = None,
) -> None:
    """Record the end of a dialogue."""
    ended = {
        "status": "failed" if error is not None else "finished",
        "stop_reason": stop_reason,
        "error": hidden(f"{type(error).__name__}: {error}") if error is not None else None,
        "final_turn_id": final,
        "finished_at": now(),
    }
    await store.keep(updating(Dialogue, dialogue.id, **ended))


def turn_id(dialogue_id: str, seq: int) -> str:
    """The id of a dialogue's turn by its place."""
    return derive_id(dialogue_id, seq)


def asked_from(dialogue: Dialogue, seq: int) -> AbstractContextManager[None]:
    """Have traces of what is asked within the block say that it becomes the dialogue's turns from this place on."""
    return asked_for(run=dialogue.run_id, dialogue=dialogue.id, turn=turn_id(dialogue.id, seq))


def request_id(dialogue: Dialogue, seq: int) -> str:
    """Generation request id of a turn. Unique within a run and equal across runs, so seeds are too."""
    return f"{dialogue.stage}:{dialogue.round}:{dialogue.example_id}:{seq}"


async def student_turn(
    context: RunContext,
    dialogue: Dialogue,
    seq: int,
    kind: TurnKind,
    request: GenerationRequest,
    template: PromptTemplate,
    *,
    source: Input,
    parent: str | None = None,
    said: Mapping[str, Turn] | None = None,
    keeper: Keeper | None = None,
    unwanted: Sequence[str] = (),
) -> Turn:
    """Let the student speak, clean what it says, and note why it is invalid if it is.

    `said` holds the dialogue's turns by their ids, where they have been read; else the store is asked for this one.
    `keeper` takes the turn, where it is not to be waited for. A text with an `unwanted` ending is invalid too.
    """
    identity = turn_id(dialogue.id, seq)
    known = await context.store.patiently(context.store.get, Turn, identity) if said is None else said.get(identity)
    if known is not None:
        return known
    place = dialogue.stage, dialogue.round, dialogue.example_id, seq
    reuse = context.reuse
    taken = None if reuse is None else await context.store.patiently(reuse.generation, request, place)
    generation = await context.generate(request) if taken is None else taken
    text = context.task.clean(generation.text)
    problem = context.task.problem(text, source, cut_off=generation.finish_reason == "length")
    if problem is None and ending(text) in unwanted:
        problem = OVERUSED
    # The dialogue's own is there already.
    new = request.prompt_hash != dialogue.prompt_hash
    prompt = [PromptRow.of(request.messages, request.prompt_hash)] if new else []
    turn = _turn(
        dialogue,
        seq,
        kind,
        text,
        parent_turn_id=parent,
        agent=Agent.STUDENT,
        prompt_hash=request.prompt_hash,
        template_hash=template.hash,
        request_key=request.id,
        model=context.config.student.model,
        model_resolved=context.config.student.full_name,
        adapter_version=generation.adapter_version,
        sampling=request.sampling.model_dump(),
        seed=request.seed,
        finish_reason=generation.finish_reason,
        input_tokens=generation.prompt_tokens,
        output_tokens=len(generation.token_ids),
        queue_ms=generation.queue_ms,
        latency_ms=generation.latency_ms,
        worker=generation.worker,
        raw={"text": generation.text, "token_ids": list(generation.token_ids)},
        note=problem,
    )
    await (context.store if keeper is None else keeper).keep(adding_new(*prompt, turn))
    return turn


async def record_demonstrations(
    keeper: Keeper, dialogue: Dialogue, seq: int, shown: Demonstrations
) -> tuple[list[Turn], int]:
    """Record what the teacher wrote, from place `seq` on: its answers, then all that was turned away, with the reason.

    Returns the turns of the answers, and the first place after all of them.
    """
    written: list[tuple[Origin, str, str | None]] = [(shown.origin, text, None) for text in shown.texts]
    for reply in (*shown.earlier, shown):
        written += [(reply.origin, each.text, each.problem) for each in reply.turned_away]
    turns = [
        _llm_turn(dialogue, place, TurnKind.DEMONSTRATION, origin, text=text, note=problem)
        for place, (origin, text, problem) in enumerate(written, start=seq)
    ]
    await keeper.keep(adding_new(*turns))
    return turns[: len(shown.texts)], seq + len(turns)


async def record_verdict(
    keeper: Keeper,
    dialogue: Dialogue,
    seq: int,
    comparison: Verdict,
    first: Turn,
    second: Turn,
    *,
    source: PreferenceSource | None = None,
) -> tuple[VerdictRow, int]:
    """Record a comparison: a turn and a ballot for each reply from `seq` on, and their verdict.

    The turns are in the order of the jury's seats, each member's replies of the forward order first. With `source`,
    the preference that the verdict makes is recorded as from there. All of it is one transaction. Returns the verdict
    and the first place after its turns.
    """
    turns = [
        _llm_turn(
            dialogue,
            place,
            TurnKind.VERDICT,
            ballot.origin,
            parent=(first if ballot.forward else second).id,
            note=_score_note(ballot),
        )
        for place, ballot in enumerate(comparison.ballots, start=seq)
    ]
    said = list(zip(turns, comparison.ballots, strict=True))
    forward, reverse = (
        next(turn for turn, ballot in said if ballot.forward is order and ballot.member == 0) for order in (True, False)
    )
    verdict = VerdictRow(
        id=derive_id(forward.id, "verdict"),
        run_id=dialogue.run_id,
        dialogue_id=dialogue.id,
        agent="judge" if forward.agent is Agent.JUDGE else "critic",
        first_turn_id=first.id,
        second_turn_id=second.id,
        forward_turn_id=forward.id,
        reverse_turn_id=reverse.id,
        p_forward=comparison.p_forward,
        p_reverse=comparison.p_reverse,
        p_first=comparison.p_first,
        consistent=comparison.consistent,
        outcome=comparison.outcome,
        method=comparison.method,
        answered=comparison.answered,
        source=source,
    )
    ballots = [
        BallotRow(
            turn_id=turn.id,
            verdict_id=verdict.id,
            member=ballot.member,
            forward=ballot.forward,
            p_first=ballot.p_first,
            method=ballot.method,
            label_mass=ballot.label_mass,
            answered=ballot.answered,
        )
        for turn, ballot in said
    ]
    preference = None if source is None else preference_from(dialogue, verdict, first, second, source)
    rows = (*turns, verdict, *ballots, *([] if preference is None else [preference]))
    await keeper.keep(adding_new(*rows))
    return verdict, seq + len(turns)


def _score_note(ballot: Ballot) -> str | None:
    """What a reply without words said."""
    if ballot.method != "cloze" or isinstance(ballot.origin, PlugReply):
        return None
    return f"mean log-probability {text_score(ballot.origin.reply):.4f} nats per token"


async def record_critique(
    keeper: Keeper, dialogue: Dialogue, seq: int, origin: Origin, critique: Critique, target: Turn
) -> CritiqueRow:
    """Record a written critique of one turn; its turn's note says what was the matter with the critic's replies."""
    again = not isinstance(origin, PlugReply) and origin.request.ordinal % 2
    notes = ["asked again: the first reply held no suggestion"] if again else []
    if not critique.parsed:
        notes.append("no suggestion in the form that was asked for")
    turn = _llm_turn(dialogue, seq, TurnKind.CRITIQUE, origin, parent=target.id, note="; ".join(notes) or None)
    written = CritiqueRow(
        turn_id=turn.id,
        target_turn_id=target.id,
        works=critique.works,
        missing=critique.missing,
        suggestion=critique.suggestion,
        parse_ok=critique.parsed,
    )
    await keeper.keep(adding_new(turn, written))
    return written


async def record_logprobs(
    keeper: Keeper, dialogue: Dialogue, seq: int, origin: Exchange, logprobs: Sequence[float], draft: Turn
) -> Turn:
    """Record how likely the teacher finds a draft: its mean in words, and each token's in `raw`."""
    mean = math.fsum(logprobs) / len(logprobs)
    text = f"mean log-probability {mean:.4f} nats per token, of {len(logprobs)}"
    turn = _llm_turn(dialogue, seq, TurnKind.LOGPROBS, origin, text=text, parent=draft.id)
    turn.raw = {"token_logprobs": list(logprobs)}
    await keeper.keep(adding_new(turn))
    return turn


def _llm_turn(
    dialogue: Dialogue,
    seq: int,
    kind: TurnKind,
    origin: Origin,
    *,
    text: str | None = None,
    parent: str | None = None,
    note: str | None = None,
) -> Turn:
    said = words_of(origin) if text is None else text
    if isinstance(origin, PlugReply):
        return _turn(
            dialogue,
            seq,
            kind,
            said,
            parent_turn_id=parent,
            agent=Agent(origin.role),
            model=origin.use,
            model_resolved=origin.use,
            latency_ms=origin.latency_ms,
            note=note,
        )
    request, reply = origin.request, origin.reply
    return _turn(
        dialogue,
        seq,
        kind,
        said,
        parent_turn_id=parent,
        agent=Agent(request.role),
        prompt_hash=request.prompt_hash,
        template_hash=origin.template.hash,
        request_key=request.key,
        model=request.model,
        model_resolved=reply.model,
        sampling=request.sampling.model_dump(),
        seed=request.seed,
        finish_reason=reply.finish_reason,
        input_tokens=reply.usage.input,
        cached_tokens=reply.usage.cached,
        output_tokens=reply.usage.output,
        reasoning_tokens=reply.usage.reasoning,
        latency_ms=reply.latency_ms,
        retries=reply.retries,
        note=note,
    )


def _turn(dialogue: Dialogue, seq: int, kind: TurnKind, content: str, **origin: Any) -> Turn:
    """A turn in its place in a dialogue; `origin` is who said it, and how it came about."""
    return Turn(
        id=turn_id(dialogue.id, seq),
        run_id=dialogue.run_id,
        dialogue_id=dialogue.id,
        seq=seq,
        kind=kind,
        content=content,
        content_hash=content_hash(content),
        **origin,
    )
