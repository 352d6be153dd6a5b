"""Which examples go into which batch, and how a batch's rows are measured under the model."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..objectives import MISMATCHED, RowLogprobs
from ..student.device import moved
from ..student.student import LoadedStudent
from .examples import EncodedCompletion, EncodedExample
from .logprobs import measure
from .precision import Precision
from .reference import Reference
from .replay import Replays

BUCKET_BATCHES = 8
"""Examples are shuffled, then sorted by their prompts' lengths within runs of so many batches: little padding."""


def endless_batches(items: Sequence[EncodedExample], size: int, seed: int) -> Iterator[list[EncodedExample]]:
    """Batches without end; each pass over the items is shuffled anew."""
    generator = random.Random(seed)  # noqa: S311 - an order, not a secret
    prompts: dict[tuple[int, ...], list[EncodedExample]] = {}
    for item in items:
        prompts.setdefault(item.prompt, []).append(item)
    while True:
        groups = list(prompts.values())
        generator.shuffle(groups)
        order = [item for group in groups for item in group]
        batches = []
        for start in range(0, len(order), size * BUCKET_BATCHES):
            # By prompt length first: completions of one prompt stay together, and a batch reads their prompt once.
            run = sorted(order[start : start + size * BUCKET_BATCHES], key=lambda item: len(item.prompt))
            batches += [run[i : i + size] for i in range(0, len(run), size)]
        generator.shuffle(batches)
        yield from batches


@dataclass(frozen=True, slots=True)
class LogprobScorer:
    """Measures rows under one model."""

    student: LoadedStudent
    model: Any
    precision: Precision
    share_prompts: bool
    reference: Reference | None
    mean_length: float
    replays: Replays | None = None

    def score(self, items: Sequence[EncodedExample]) -> RowLogprobs:
        """The rows of the items' rankings and targets, grouped by the items' places."""
        return self._score(items, mismatched=False)

    @torch.no_grad()
    def score_mismatched(self, items: Sequence[EncodedExample]) -> RowLogprobs:
        """The items' mismatched rows, without gradients; there must be some."""
        return self._score(items, mismatched=True)

    def _score(self, items: Sequence[EncodedExample], *, mismatched: bool) -> RowLogprobs:
        rows = [
            (group, row)
            for group, item in enumerate(items)
            for row in item.rows
            if (row.rank == MISMATCHED) is mismatched
        ]
        texts = [row.text for _, row in rows]
        token, mask = measure(
            self.student,
            self.model,
            texts,
            self.precision,
            share_prompts=self.share_prompts,
            replays=self.replays if self.model.training else None,
        )
        group, rank = torch.tensor([group for group, _ in rows]), torch.tensor([row.rank for _, row in rows])
        return RowLogprobs(
            token,
            mask,
            moved(group, self.student.device),
            moved(rank, self.student.device),
            self.mean_length,
            None if self.reference is None else self.reference.rows(texts, token),
            (group, rank),
            _teacher([row for _, row in rows], token),
            self._weights(items, group),
        )

    def _weights(self, items: Sequence[EncodedExample], group: Tensor) -> Tensor | None:
        if any(item.weight is None for item in items):
            return None
        return moved(torch.tensor([item.weight for item in items])[group], self.student.device)


def _teacher(rows: Sequence[EncodedCompletion], like: Tensor) -> Tensor | None:
    """[R, C] of the given tensor's shape, format and device; None where no teacher was asked."""
    if not all(row.teacher_logprobs for row in rows):
        return None
    found = torch.zeros(like.shape, dtype=like.dtype)
    for place, row in zip(found, rows, strict=True):
        place[: len(row.teacher_logprobs)] = torch.tensor(row.teacher_logprobs, dtype=like.dtype)
    return moved(found, str(like.device))


def concat(first: RowLogprobs, second: RowLogprobs) -> RowLogprobs:
    """The rows of both, the narrower ones widened by columns outside the mask."""
    width = max(first.token.shape[1], second.token.shape[1])

    def stacked(*parts: Tensor) -> Tensor:
        return torch.cat([pad(part, (0, width - part.shape[1])) for part in parts])

    references = [rows.reference for rows in (first, second) if rows.reference is not None]
    teachers = [rows.teacher for rows in (first, second) if rows.teacher is not None]
    return RowLogprobs(
        stacked(first.token, second.token),
        stacked(first.mask, second.mask),
        torch.cat([first.group, second.group]),
        torch.cat([first.rank, second.rank]),
        first.mean_length,
        stacked(*references) if references else None,
        (torch.cat([first.places[0], second.places[0]]), torch.cat([first.places[1], second.places[1]])),
        stacked(*teachers) if len(teachers) == 2 else None,
        None if first.weight is None or second.weight is None else torch.cat([first.weight, second.weight]),
    )


def mean_length(items: Sequence[EncodedExample]) -> float:
    """Mean tokens of the completions that are ranked."""
    return sum(item.ranked_tokens for item in items) / sum(len(item.ranked) for item in items)
