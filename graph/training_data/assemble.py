"""Transcripts become training examples: which preferences and demonstrations a training learns from, and in what form.

An example names the rows it is made of, so that every training says what it consumed and nothing is consumed twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import case, func, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from ...core.config import RunConfig
from ...core.records import Message, PreferenceSource, Split, Stage, TrainingExample, TurnKind
from ...store import Dialogue, ExampleRow, Preference, PromptRow, Training, TrainingItem, Turn
from ...store.trainable import of_similar_length, staleness, untrained
from ...training.objectives import Objective, phases
from ..context.objective import max_staleness, objective_of
from ..context.run_context import RunContext
from .labels import relabelled
from .rankings import rankings


@dataclass(frozen=True, slots=True)
class SourcedExample:
    """A training example and the rows it comes from: preferences, or one turn."""

    example: TrainingExample
    preference_ids: tuple[str, ...] = ()
    turn_id: str | None = None


@dataclass(frozen=True, slots=True)
class PhaseData:
    """What one phase of a training learns from, with the name of its objective."""

    objective: str
    examples: tuple[SourcedExample, ...]


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a training may be made of."""

    demonstrations: tuple[Turn, ...]
    """Texts of the teacher's for training inputs, those from dialogues the student failed in included."""
    preferences: tuple[Preference, ...]
    drafts: tuple[Turn, ...] = ()
    """Texts of the student's that the teacher has said its log-probabilities of."""


def demonstration_examples(context: RunContext, turns: Sequence[Turn]) -> list[SourcedExample]:
    """Each turn as a text to imitate."""
    prompts = {key: context.student.prompt(row.value) for key, row in _inputs_of(context, turns).items()}
    return [
        SourcedExample(TrainingExample(turn.id, prompts[turn.dialogue_id], (turn.content,)), turn_id=turn.id)
        for turn in turns
    ]


def feedback_examples(context: RunContext, objective: str, data: TrainingData) -> list[PhaseData]:
    """The data in the form that the objective's phases learn from; phases without any are left out."""
    found, config = [], context.config
    named = {turn for row in data.preferences for turn in (row.chosen_turn_id, row.rejected_turn_id)}
    turns = {turn.id: turn for turn in context.store.select(Turn, id=list(named))}
    learned = relabelled(data.preferences, turns, config.preferences.labels, config.seed)
    for phase in phases(objective):
        preferences = [p for p in learned if phase.sources is None or p.source in phase.sources]
        learner = objective_of(context.plugs, config.training, phase.objective)
        if learner.needs == "drafts":
            examples = _draft_examples(context, data.drafts)
        else:
            examples = _examples(context, learner, data.demonstrations, preferences)
        if examples:
            found.append(PhaseData(phase.objective, tuple(examples)))
    return found


def new_data(context: RunContext, source_run: str, promoted_version: int) -> TrainingData:
    """What there is for the version `promoted_version` to learn from; preferences as in `new_preferences`."""
    if context.config.training.from_drafts:
        return TrainingData((), (), tuple(new_drafts(context, source_run, promoted_version)))
    found = new_preferences(context, source_run, promoted_version)
    return TrainingData(tuple(teacher_texts(context)), tuple(preference for preference, _ in found))


def new_drafts(context: RunContext, source_run: str, version: int) -> list[Turn]:
    """The drafts of `source_run`'s ended dialogues that `version` itself wrote, and this run has not learned from.

    Those alone that the teacher has said its log-probabilities of, in an order that follows from the inputs.
    """
    said = aliased(Turn)
    used = select(col(TrainingItem.turn_id)).where(
        col(TrainingItem.run_id) == context.run.id, col(TrainingItem.turn_id).is_not(None)
    )
    statement = (
        select(Turn)
        .join(said, col(said.parent_turn_id) == col(Turn.id))
        .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
        .where(
            col(Turn.run_id) == source_run,
            col(Turn.kind) == TurnKind.DRAFT,
            col(Turn.adapter_version) == version,
            col(said.kind) == TurnKind.LOGPROBS,
            col(Turn.id).not_in(used),
            col(Dialogue.status) != "pending",
        )
        .order_by(col(Dialogue.round), col(Dialogue.example_id), col(Turn.seq))
    )
    return [turn for (turn,) in context.store.rows(statement)]


def new_preferences(context: RunContext, source_run: str, promoted_version: int) -> list[tuple[Preference, int | None]]:
    """The preferences of `source_run`'s ended dialogues that this run has not learned from and may still learn from.

    By round, input and place in their dialogue, which no haste of one dialogue or another changes, each with its
    staleness under `promoted_version`; None where the student wrote neither text. Those that are too stale
    (`training.max_staleness`) are left out for good.
    """
    most = max_staleness(context.plugs, context.config.training)
    behind = staleness(context.campaign, promoted_version)
    chosen, rejected = aliased(Turn), aliased(Turn)
    statement = (
        select(Preference, behind)
        .join(Dialogue, col(Preference.dialogue_id) == col(Dialogue.id))
        .join(chosen, col(Preference.chosen_turn_id) == col(chosen.id))
        .join(rejected, col(Preference.rejected_turn_id) == col(rejected.id))
        .where(
            col(Preference.run_id) == source_run,
            untrained(context.run.id),
            col(Preference.source).in_(_wanted_sources(context)),
            of_similar_length(context.config.preferences.length_ratio),
            col(Dialogue.status) != "pending",
            *([] if most is None else [func.coalesce(behind, 0) <= most]),
        )
        .order_by(
            *(col(Preference.round), col(Preference.example_id), col(Dialogue.stage)),
            *(case((col(chosen.seq) > col(rejected.seq), col(chosen.seq)), else_=col(rejected.seq)), col(chosen.seq)),
        )
    )
    return [(row, lag) for row, lag in context.store.rows(statement)]


def consumed_data(context: RunContext, training: Training) -> TrainingData:
    """What a training that was begun earlier is made of, whatever was said since."""
    items = context.store.select(TrainingItem, training_id=training.id, order_by="position")
    turns = {row.id: row for row in context.store.select(Turn, id=[i.turn_id for i in items if i.turn_id])}
    rows = {row.id: row for row in context.store.select(Preference, id=[i.preference_id for i in items])}
    taken = [turns[item.turn_id] for item in items if item.turn_id is not None]
    drafts = tuple(turn for turn in taken if turn.kind is TurnKind.DRAFT)
    if drafts:
        return TrainingData((), (), drafts)
    return TrainingData(
        tuple(taken or (turn for turn in teacher_texts(context) if turn.created_at <= training.started_at)),
        tuple(rows[item.preference_id] for item in items if item.preference_id is not None),
    )


def teacher_texts(context: RunContext) -> list[Turn]:
    """The teacher's demonstrations for training inputs: those it began with, then those from failed dialogues."""
    train = {example.id for example in context.split(Split.TRAIN)}
    found = []
    for stage in (Stage.DEMONSTRATE, Stage.COLLECT):
        dialogues = context.store.select(Dialogue, run_id=context.campaign, stage=stage, status="finished")
        places = {row.id: (row.round, row.example_id) for row in dialogues if row.example_id in train}
        turns = context.store.select(Turn, dialogue_id=list(places), kind=TurnKind.DEMONSTRATION, note=None)
        found += sorted(turns, key=lambda turn: (*places[turn.dialogue_id], turn.seq))
    return found


def _wanted_sources(context: RunContext) -> set[str]:
    wanted = set(get_args(PreferenceSource)) - context.config.preferences.switched_off
    return wanted | {"teacher_pair"} if wants_teacher_pairs(context.config) else wanted


def wants_teacher_pairs(config: RunConfig) -> bool:
    """Whether the critic is to compare the teacher's own outputs: switched on, or what the objective learns from."""
    named = (phase.sources for phase in phases(config.training.objective))
    return config.preferences.teacher_pairs or any(
        sources is not None and sources == {"teacher_pair"} for sources in named
    )


def _examples(
    context: RunContext, objective: Objective, demonstrations: Sequence[Turn], preferences: list[Preference]
) -> list[SourcedExample]:
    if objective.needs == "demonstrations":
        return demonstration_examples(context, demonstrations)
    revised = _revised(context, preferences)
    at_once = {"input": preferences, "both": preferences}.get(
        context.config.preferences.revisions_answer, [row for row in preferences if row.id not in revised]
    )
    chains = rankings(at_once)
    named = {turn for row in preferences for turn in (row.chosen_turn_id, row.rejected_turn_id)}
    turns = {turn.id: turn for turn in context.store.select(Turn, id=list(named))}
    given = _given_prompts(context, preferences)
    inputs = {row.id: row.value for row in context.store.select(ExampleRow, id=[p.example_id for p in preferences])}
    targets = _targets(context, demonstrations) if objective.uses_target else {}
    made = []
    for chain in chains:
        example_id = chain.preferences[0].example_id
        prompt, target = given.get(example_id) or context.student.prompt(inputs[example_id]), targets.get(example_id)
        if objective.needs == "pairs":
            for row in chain.preferences:
                pair = [turns[row.chosen_turn_id], turns[row.rejected_turn_id]]
                made.append(_example((row,), prompt, pair, target))
            continue
        ranked = [turns[turn] for turn in chain.turns]
        made.append(_example(chain.preferences, prompt, ranked[:1] if objective.needs == "chosen" else ranked, target))
    for row in preferences:
        if row.id in revised:
            pair = [turns[row.chosen_turn_id], turns[row.rejected_turn_id]]
            ranked = pair[:1] if objective.needs == "chosen" else pair
            made.append(_example((row,), revised[row.id], ranked, None, name=f"{row.id} revised"))
    return made


def _given_prompts(context: RunContext, preferences: Sequence[Preference]) -> dict[str, tuple[Message, ...]]:
    """The prompts of pairs of other people's making, by the input: as they were given, and none of the task's."""
    named = {row.dialogue_id for row in preferences if row.source == "given"}
    dialogues = context.store.select(Dialogue, id=list(named))
    prompts = {row.hash: row for row in context.store.select(PromptRow, hash=[row.prompt_hash for row in dialogues])}
    return {
        row.example_id: tuple(Message.model_validate(message) for message in prompts[row.prompt_hash].messages)
        for row in dialogues
        if row.prompt_hash is not None
    }


def _draft_examples(context: RunContext, drafts: Sequence[Turn]) -> list[SourcedExample]:
    """Each draft as it was sampled, with the teacher's log-probability of each token."""
    said = context.store.select(Turn, parent_turn_id=[draft.id for draft in drafts], kind=TurnKind.LOGPROBS)
    scores = {turn.parent_turn_id: tuple(turn.raw["token_logprobs"]) for turn in said}
    prompts = {key: context.student.prompt(row.value) for key, row in _inputs_of(context, drafts).items()}
    return [
        SourcedExample(
            TrainingExample(
                draft.id,
                prompts[draft.dialogue_id],
                (draft.content,),
                token_ids=tuple(draft.raw["token_ids"]),
                teacher_logprobs=scores[draft.id],
            ),
            turn_id=draft.id,
        )
        for draft in drafts
    ]


def _revised(context: RunContext, preferences: Sequence[Preference]) -> dict[str, tuple[Message, ...]]:
    """What the student was asked when it wrote a revision that was accepted, by the preference.

    Empty where revisions are learned as answers to the input alone.
    """
    if context.config.preferences.revisions_answer == "input":
        return {}
    chosen = {row.chosen_turn_id: row.id for row in preferences if row.source == "revision"}
    turns = context.store.select(Turn, id=list(chosen), kind=TurnKind.REVISION)
    prompts = {row.hash: row for row in context.store.select(PromptRow, hash=[turn.prompt_hash for turn in turns])}
    return {
        chosen[turn.id]: tuple(Message.model_validate(message) for message in prompts[turn.prompt_hash].messages)
        for turn in turns
        if turn.prompt_hash is not None
    }


def _example(
    preferences: Sequence[Preference],
    prompt: tuple[Message, ...],
    ranked: Sequence[Turn],
    target: str | None,
    *,
    name: str | None = None,
) -> SourcedExample:
    """What some preferences teach: turns in answer to a prompt, the best first. `name` is the example's own id."""
    ids = tuple(row.id for row in preferences)
    example = TrainingExample(
        ids[0] if name is None else name,
        prompt,
        tuple(turn.content for turn in ranked),
        target,
        min(row.margin for row in preferences),
        tuple(place for place, turn in enumerate(ranked) if turn.finish_reason == "length"),
    )
    return SourcedExample(example, ids)


def _targets(context: RunContext, demonstrations: Sequence[Turn]) -> dict[str, str]:
    """The first text of the teacher's for each input."""
    inputs = _inputs_of(context, demonstrations)
    targets: dict[str, str] = {}
    for turn in demonstrations:
        targets.setdefault(inputs[turn.dialogue_id].id, turn.content)
    return targets


def _inputs_of(context: RunContext, turns: Sequence[Turn]) -> dict[str, ExampleRow]:
    """The input of each turn's dialogue, by the dialogue's id."""
    dialogues = context.store.select(Dialogue, id=list({turn.dialogue_id for turn in turns}))
    examples = {row.id: row for row in context.store.select(ExampleRow, id=[d.example_id for d in dialogues])}
    return {dialogue.id: examples[dialogue.example_id] for dialogue in dialogues}
