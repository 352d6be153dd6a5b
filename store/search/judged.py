"""What adapters said of held-out inputs and how it fared, out of the evaluations."""

from collections.abc import Iterable, Sequence
from typing import Any

from ...core.records import JudgedOutput, Outcome, Split, Stage, input_words
from ..reading import Reader
from ..tables.training import Evaluation, EvaluationItem
from ..tables.transcript import Dialogue, ExampleRow, Run, RunExample, Turn, VerdictRow


def judged_outputs(store: Reader, evaluation_id: str, seed: int = 0) -> list[JudgedOutput]:
    """What an evaluation holds so far, in the order of the inputs' ids (hashes).

    Args:
        store: Where it is.
        evaluation_id: The evaluation.
        seed: Of the training, which the outputs are to carry.
    """
    items = store.select(EvaluationItem, evaluation_id=evaluation_id, order_by="example_id")
    named = [turn for item in items for turn in (item.output_turn_id, item.reference_turn_id)]
    turns = {turn.id: turn for turn in store.select(Turn, id=named)}
    ids = [name for item in items for name in (item.verdict_id, item.critic_verdict_id) if name is not None]
    verdicts = {row.id: row for row in store.select(VerdictRow, id=ids)}
    inputs = {row.id: row for row in store.select(ExampleRow, id=[item.example_id for item in items])}
    return [
        JudgedOutput(
            input_id=item.example_id,
            source=input_words(inputs[item.example_id].value),
            text=turns[item.output_turn_id].content,
            reference=turns[item.reference_turn_id].content,
            outcome=item.outcome,
            consistent=verdicts[item.verdict_id].consistent,
            length_ratio=item.length_ratio,
            seed=seed,
            critic=None if item.critic_verdict_id is None else verdicts[item.critic_verdict_id].outcome,
            scores=item.scores,
            dialogue_id=turns[item.output_turn_id].dialogue_id,
        )
        for item in items
    ]


def summaries_on_test(store: Reader, run: Run) -> dict[int, dict[str, Any]]:
    """What each adapter that was judged on the test inputs to the end came to, by version."""
    rows = store.select(Evaluation, run_id=run.id, split=Split.TEST, status="finished", order_by="adapter_version")
    return {row.adapter_version: row.summary for row in rows}


def outputs_of(store: Reader, run: Run, version: int, split: Split = Split.TEST) -> list[JudgedOutput]:
    """What an adapter said of a split's inputs; nothing before it was judged to the end."""
    found = store.select(Evaluation, run_id=run.id, adapter_version=version, split=split, status="finished")
    return judged_outputs(store, found[0].id, run.seed) if found else []


def outcomes_in(store: Reader, dialogues: Sequence[Dialogue]) -> dict[str, Outcome]:
    """How the output of each dialogue that was held for an evaluation fared, by the dialogue."""
    finals = {dialogue.final_turn_id: dialogue.id for dialogue in dialogues if dialogue.stage == Stage.EVALUATE}
    items = store.select(EvaluationItem, output_turn_id=[turn for turn in finals if turn is not None])
    return {finals[item.output_turn_id]: item.outcome for item in items}


def splits_of(store: Reader, run: Run, examples: Iterable[str]) -> dict[str, Split]:
    """Which part each input plays in the campaign that a run goes back to."""
    rows = store.select(RunExample, run_id=store.campaign_of(run).id, example_id=list(dict.fromkeys(examples)))
    return {row.example_id: row.split for row in rows}
