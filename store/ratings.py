"""Blind ratings of pairs of texts by people: which pairs, in what order, on which side, and the answers.

A rating is an annotation of the verdict about the same pair, one of each person, and annotations never change. Who
thinks better of it adds a correction; what was said last counts. The ids are made from what they are about, so that a
rating that is sent twice is stored once.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from ..core.errors import NotFoundError
from ..core.ids import content_hash, derive_id, derive_seed
from ..core.records import Outcome, RatedPair, RatedPairs, Rating, Split
from ..core.text import length
from .reading import Reader
from .tables.annotation import CORRECTION, PREFERENCE, Annotation
from .tables.training import Evaluation, EvaluationItem
from .tables.transcript import Dialogue, ExampleRow, PromptTemplateRow, Run, Turn, VerdictRow

Choice = Literal["left", "right", "tie", "skip"]
CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)
_OUTCOMES: Final[dict[str, Outcome]] = {"win": "win", "tie": "tie", "loss": "loss"}


@dataclass(frozen=True, slots=True)
class BlindPair:
    """A pair as its rater sees it, and nothing that tells whose the texts are."""

    verdict_id: str
    input: str
    left: str
    right: str
    question: str | None
    """The prompt, not filled in, by which the critic compared them; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a rater last said of a pair."""

    annotation_id: str
    choice: Choice
    remark: str = ""
    """What they said about the pair in words."""


def pairs_to_rate(
    reader: Reader, run: Run, what: RatedPairs, *, versions: Collection[int] | None = None, number: int
) -> list[str]:
    """Verdicts of a run whose pairs people rate, in the order in which all raters get them.

    The order is drawn by lot, by the run's seed. Every input comes once before any comes again, as a reference that was
    just read would be known again. Pairs of equal texts are left out.

    Args:
        reader: The store.
        run: Which.
        what: Pairs of finished evaluations on test inputs, or those that the critic compared.
        versions: Only outputs of these adapters; None for all.
        number: The most to return.
    """
    found = reader.rows(_test(run, versions) if what == "test" else _compared(run, versions))
    met: Counter[str] = Counter()
    ranked: list[tuple[int, str, str]] = []
    drawn = ((content_hash([run.seed, verdict]), verdict, example) for verdict, example in found)
    for lot, verdict, example in sorted(drawn):
        ranked.append((met[example], lot, verdict))
        met[example] += 1
    return [verdict for _, _, verdict in sorted(ranked)[:number]]


def versions_to_rate(reader: Reader, run: Run) -> list[int]:
    """The adapters whose outputs on test inputs can be rated."""
    evaluations = reader.select(
        Evaluation, run_id=run.id, split=Split.TEST, status="finished", order_by="adapter_version"
    )
    return [evaluation.adapter_version for evaluation in evaluations]


def verdict_to_rate(reader: Reader, run: Run, verdict_id: str) -> VerdictRow:
    """The verdict of a run with this id.

    Raises:
        NotFoundError: The run has none.
    """
    verdict = reader.get(VerdictRow, verdict_id)
    if verdict is None or verdict.run_id != run.id:
        raise NotFoundError(f"run {run.id} has no verdict {verdict_id!r} whose pair could be rated")
    return verdict


def blind_pair(reader: Reader, verdict: VerdictRow, rater: str) -> BlindPair:
    """A pair as a rater is to see it."""
    dialogue = reader.get(Dialogue, verdict.dialogue_id)
    assert dialogue is not None
    example = reader.get(ExampleRow, dialogue.example_id)
    assert example is not None
    wanted = [verdict.first_turn_id, verdict.second_turn_id, verdict.forward_turn_id]
    turns = {turn.id: turn for turn in reader.select(Turn, id=wanted)}
    texts = [turns[verdict.first_turn_id].content, turns[verdict.second_turn_id].content]
    left, right = texts if first_is_left(verdict.id, rater) else texts[::-1]
    asked = turns[verdict.forward_turn_id].template_hash
    template = reader.get(PromptTemplateRow, asked) if asked else None
    return BlindPair(verdict.id, example.text, left, right, template.text if template else None)


def first_is_left(verdict_id: str, rater: str) -> bool:
    """Whether a rater sees a pair's first text on the left: even odds, fixed for each rater and pair."""
    return derive_seed("side", verdict_id, rater) % 2 == 0


def ratings_of(reader: Reader, run: Run, rater: str) -> dict[str, Given]:
    """What a rater said of a run's pairs, by their verdicts, what was said last at the end."""
    rows = reader.select(Annotation, run_id=run.id, author=rater, name=[PREFERENCE, CORRECTION], order_by="created_at")
    latest = sorted(_latest(rows), key=lambda row: (row.created_at, row.id))
    return {
        row.verdict_id: Given(row.id, _choice(row), row.explanation or "")
        for row in latest
        if row.verdict_id is not None
    }


def rating(
    verdict: VerdictRow,
    rater: str,
    choice: Choice,
    *,
    seconds: float | None = None,
    corrects: str | None = None,
    remark: str | None = None,
) -> Annotation:
    """The annotation that says what a rater chose, to be written by `Store.add_new`.

    Args:
        verdict: The verdict about the pair.
        rater: The person's name.
        choice: Of the pair as `blind_pair` shows it to them.
        seconds: How long they thought, as far as is known.
        corrects: The id of the annotation that this one takes the place of; None for the first of this pair.
        remark: What they say about the pair in words.
    """
    first_left = first_is_left(verdict.id, rater)
    chosen = {"left": first_left, "right": not first_left}
    label = choice if choice not in chosen else "win" if chosen[choice] else "loss"
    data = {"left": verdict.first_turn_id if first_left else verdict.second_turn_id, "seconds": seconds}
    return Annotation(
        id=derive_id(verdict.id, "preference", rater) if corrects is None else derive_id(corrects, "correction"),
        run_id=verdict.run_id,
        dialogue_id=verdict.dialogue_id,
        verdict_id=verdict.id,
        name=PREFERENCE if corrects is None else CORRECTION,
        label=label,
        explanation=remark,
        author=rater,
        data=data if corrects is None else {**data, "corrects": corrects},
    )


def rated_pairs(reader: Reader, run: Run, what: RatedPairs) -> list[RatedPair]:
    """The pairs of a run that people rated, skipped or not, in the order of their verdicts' ids.

    Of a run that judged another's comparisons again, what people said of them in that run counts too.
    """
    agent = "judge" if what == "test" else "critic"
    by_pair = _rated(reader, run, agent)
    firsts = {first for first, _ in by_pair}
    verdicts = [
        verdict
        for verdict in reader.select(VerdictRow, first_turn_id=firsts, agent=agent)
        if verdict.run_id == run.id and _texts(verdict) in by_pair
    ]
    outputs = _versions_of(reader, [verdict.id for verdict in verdicts]) if what == "test" else {}
    turns = reader.select(Turn, id={turn for verdict in verdicts for turn in _texts(verdict)})
    lengths = {turn.id: length(turn.content) for turn in turns}
    return [
        RatedPair(
            version=outputs.get(verdict.id),
            outcome=verdict.outcome,
            p_forward=verdict.p_forward,
            p_reverse=verdict.p_reverse,
            first_length=lengths[verdict.first_turn_id],
            second_length=lengths[verdict.second_turn_id],
            ratings=tuple(
                Rating(rater, _OUTCOMES.get(row.label or ""), row.data.get("left") == verdict.first_turn_id)
                for rater, row in sorted(by_pair[_texts(verdict)].items())
            ),
        )
        for verdict in verdicts
        if what == "dialogues" or verdict.id in outputs
    ]


def _rated(reader: Reader, run: Run, agent: str) -> dict[tuple[str, str], dict[str, Annotation]]:
    """What each person said of each two texts."""
    # What was said in the run itself comes last, and takes the place of what was said before.
    runs = [run.source_run_id, run.id] if run.kind == "rejudge" else [run.id]
    found: dict[tuple[str, str], dict[str, Annotation]] = {}
    for run_id in runs:
        rows = reader.select(Annotation, run_id=run_id, author_kind="human", name=[PREFERENCE, CORRECTION])
        latest = list(_latest(rows))
        verdicts = {
            row.id: row for row in reader.select(VerdictRow, id={row.verdict_id for row in latest}, agent=agent)
        }
        for row in latest:
            if verdict := verdicts.get(row.verdict_id or ""):
                found.setdefault(_texts(verdict), {})[row.author] = row
    return found


def _texts(verdict: VerdictRow) -> tuple[str, str]:
    return verdict.first_turn_id, verdict.second_turn_id


def _versions_of(reader: Reader, verdict_ids: list[str]) -> dict[str, int]:
    """The adapters whose outputs on test inputs verdicts are about."""
    items = reader.select(EvaluationItem, verdict_id=verdict_ids)
    evaluations = reader.select(Evaluation, id={item.evaluation_id for item in items}, split=Split.TEST)
    versions = {evaluation.id: evaluation.adapter_version for evaluation in evaluations}
    return {item.verdict_id: versions[item.evaluation_id] for item in items if item.evaluation_id in versions}


def _latest(rows: Iterable[Annotation]) -> Iterable[Annotation]:
    """Of each rating its last correction, or the rating itself."""
    rows = list(rows)
    corrections = {row.data.get("corrects"): row for row in rows if row.name == CORRECTION}
    for row in rows:
        if row.name == PREFERENCE:
            last = row
            while last.id in corrections:
                last = corrections[last.id]
            yield last


def _choice(row: Annotation) -> Choice:
    if row.label not in {"win", "loss"}:
        return "tie" if row.label == "tie" else "skip"
    assert row.verdict_id is not None
    return "left" if first_is_left(row.verdict_id, row.author) == (row.label == "win") else "right"


def _test(run: Run, versions: Collection[int] | None) -> Select[str, str]:
    output, reference = aliased(Turn), aliased(Turn)
    return (
        select(col(EvaluationItem.verdict_id), col(EvaluationItem.example_id))
        .join(Evaluation, col(EvaluationItem.evaluation_id) == col(Evaluation.id))
        .join(output, col(EvaluationItem.output_turn_id) == col(output.id))
        .join(reference, col(EvaluationItem.reference_turn_id) == col(reference.id))
        .where(
            col(Evaluation.run_id) == run.id,
            col(Evaluation.split) == Split.TEST,
            col(Evaluation.status) == "finished",
            col(output.content_hash) != col(reference.content_hash),
            *([] if versions is None else [col(Evaluation.adapter_version).in_(versions)]),
        )
    )


def _compared(run: Run, versions: Collection[int] | None) -> Select[str, str]:
    first, second = aliased(Turn), aliased(Turn)
    by = [] if versions is None else [col(side.adapter_version).in_(versions) for side in (first, second)]
    return (
        select(col(VerdictRow.id), col(Dialogue.example_id))
        .join(Dialogue, col(VerdictRow.dialogue_id) == col(Dialogue.id))
        .join(first, col(VerdictRow.first_turn_id) == col(first.id))
        .join(second, col(VerdictRow.second_turn_id) == col(second.id))
        .where(
            col(VerdictRow.run_id) == run.id,
            col(VerdictRow.agent) == "critic",
            col(first.content_hash) != col(second.content_hash),
            *([or_(*by)] if by else []),
        )
    )
