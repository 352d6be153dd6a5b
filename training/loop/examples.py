"""Examples as rows of token ids: what an objective needs of each, what is too long, what is held out."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from ...core.errors import TrainingError
from ...core.records import TrainingExample
from ...core.training_settings import FineTuneSettings
from ..objectives import MISMATCHED, TARGET, Objective
from ..student.student import LoadedStudent
from ..student.tokenization import EncodedPair, encode_pair, render_prompt


class EncodedCompletion(NamedTuple):
    """One completion of an example."""

    rank: int
    """As in `RowLogprobs.rank`."""
    text: EncodedPair
    teacher_logprobs: tuple[float, ...] = ()
    """Of a draft, the teacher's log-probability of each token of the completion."""


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One example as an objective sees it; all its rows answer one prompt."""

    rows: tuple[EncodedCompletion, ...]
    id: str = ""
    weight: float | None = None
    """How much it counts beside the others, 1 on average; None where all count alike."""

    @property
    def prompt(self) -> tuple[int, ...]:
        """The prompt's token ids."""
        return self.rows[0].text.prompt

    @property
    def length(self) -> int:
        """Tokens of all rows, prompts included."""
        return sum(row.text.length for row in self.rows)

    @property
    def ranked(self) -> tuple[EncodedCompletion, ...]:
        """The rows of the ranking, best first."""
        return tuple(row for row in self.rows if row.rank >= 0)

    @property
    def has_mismatched(self) -> bool:
        """Whether there is a row of rank `MISMATCHED`."""
        return any(row.rank == MISMATCHED for row in self.rows)

    @property
    def ranked_tokens(self) -> int:
        """Tokens of the ranking's completions."""
        return sum(len(row.text.completion) for row in self.ranked)


def encode_examples(
    student: LoadedStudent, examples: Sequence[TrainingExample], objective: Objective, settings: FineTuneSettings
) -> list[EncodedExample]:
    """The examples that fit into `settings.max_length` and the student, each with the rows that the objective needs.

    Raises:
        TrainingError: an example has too few or too many completions for the objective, or is a draft without a finite
            log-probability of each token; or no example fits.
    """
    targets = objective.uses_target and objective.nll_weight(settings) > 0
    items = []
    for example in examples:
        if objective.needs == "drafts":
            row = _draft(student, example)
            if _fits(student, row.text, settings.max_length):
                items.append(EncodedExample((row,), example.id))
            continue
        texts = list(enumerate(_completions(example, objective)))
        if targets and example.target is not None and example.target != example.chosen:
            texts.append((TARGET, example.target))
        rows = tuple(
            EncodedCompletion(rank, encode_pair(student, example.messages, text, ended=rank not in example.unfinished))
            for rank, text in texts
        )
        if all(_fits(student, row.text, settings.max_length) for row in rows):
            items.append(EncodedExample(rows, example.id))
    if not items:
        raise TrainingError(
            f"nothing to train on: {len(examples)} examples, none within max_length={settings.max_length}; "
            "hold more dialogues, widen preferences.length_ratio or raise max_length"
        )
    return _weighed(items, {example.id: example.margin for example in examples}) if settings.margin_weights else items


def _weighed(items: Sequence[EncodedExample], margins: Mapping[str, float]) -> list[EncodedExample]:
    """Each item, its weight the critic's margin over the mean of all; 1 where no critic stands behind it."""
    judged = [margins[item.id] for item in items if margins[item.id]]
    mean = sum(judged) / len(judged) if judged else 1.0
    return [replace(item, weight=margins[item.id] / mean if margins[item.id] else 1.0) for item in items]


def _fits(student: LoadedStudent, text: EncodedPair, max_length: int) -> bool:
    """Whether a text is short enough to be learned; an encoder and a decoder count their places apart."""
    places = len(text.prompt) + len(text.completion)
    if student.kind == "seq2seq":
        places = max(len(text.prompt), len(text.completion))
    return text.length <= max_length and places <= (student.positions or max_length)


def hold_out(
    items: Sequence[EncodedExample], share: float, seed: int
) -> tuple[list[EncodedExample], list[EncodedExample]]:
    """Split into training and holdout; no prompt is in both, and a single prompt is trained on."""
    prompts = list(dict.fromkeys(item.prompt for item in items))
    random.Random(seed).shuffle(prompts)  # noqa: S311 - a choice, not a secret
    wanted = max(1, round(share * len(prompts))) if share else 0
    held = set(prompts[: min(wanted, len(prompts) - 1)])
    return [item for item in items if item.prompt not in held], [item for item in items if item.prompt in held]


def with_mismatched(items: Sequence[EncodedExample]) -> list[EncodedExample]:
    """Each item with a row of rank `MISMATCHED`: its prompt, and a completion of the next item with another prompt.

    Good and bad completions take turns, as the texts that KTO weighs are half good and half bad. Where there is but
    one prompt the items stay as they are.
    """
    if len({item.prompt for item in items}) < 2:
        return list(items)
    result = []
    for place, item in enumerate(items):
        others = (items[(place + step) % len(items)] for step in range(1, len(items)))
        other = next(other for other in others if other.prompt != item.prompt).ranked
        text = EncodedPair(item.prompt, other[place % len(other)].text.completion)
        result.append(replace(item, rows=(*item.rows, EncodedCompletion(MISMATCHED, text))))
    return result


def _draft(student: LoadedStudent, example: TrainingExample) -> EncodedCompletion:
    """A draft as it was sampled, beside what the teacher thinks of each token."""
    said, scored = example.token_ids, example.teacher_logprobs
    if not said or len(said) != len(scored):
        raise TrainingError(
            f"example {example.id!r} has {len(said)} token_ids and {len(scored)} teacher_logprobs, and this objective "
            "needs the tokens of a draft and one log-probability of the teacher's for each; train on other examples or "
            "with another objective"
        )
    broken = next((number for number in scored if not (math.isfinite(number) and number <= 0)), None)
    if broken is not None:
        raise TrainingError(
            f"example {example.id!r} has {broken} among its teacher_logprobs, where a natural log-probability is "
            "finite and at most 0; leave it out"
        )
    known = student.model.config.get_text_config().vocab_size
    unknown = next((token for token in said if not 0 <= token < known), None)
    if unknown is not None:
        raise TrainingError(
            f"example {example.id!r} has the token {unknown} among its token_ids, and the student has those from 0 to "
            f"{known - 1}; take the ids that the student itself has sampled"
        )
    return EncodedCompletion(0, EncodedPair(tuple(render_prompt(student, example.messages)), said), scored)


def _completions(example: TrainingExample, objective: Objective) -> tuple[str, ...]:
    """The completions that become ranked rows."""
    count = len(example.completions)
    match objective.needs:
        case "demonstrations" | "chosen" if count:
            return example.completions[:1]
        case "pairs" if count == 2:
            return example.completions
        case "rankings" if count >= 2:
            return example.completions
    wanted = {"pairs": "exactly two: chosen and rejected", "rankings": "two or more, best first"}
    raise TrainingError(
        f"example {example.id!r} has {count} completions, and this objective needs "
        f"{wanted.get(objective.needs, 'one')}; train on other examples or with another objective"
    )
