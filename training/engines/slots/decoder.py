"""What the slots are doing, on the device: reading prompts, and steps of one token for every slot.

Every pass has one of few shapes: rows and columns are rounded up to a bucket's. Tokens are drawn on the device, with
each row's own random numbers, and are looked at once in `STRIDE` steps. It knows of no queue; one thread calls it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ....core.records import Sampling
from ...student.device import moved
from ...student.student import LoadedStudent, accepted_inputs, with_cache
from ..seeded_sampling import draw, uniform_numbers
from .cache import SlotCache
from .graphs import Graphs
from .lora import StackedAdapters

STRIDE = 8
"""Steps between two looks at what was said; a text that has ended keeps its slot until then."""
FEWEST_ROWS = 8
FEWEST_COLUMNS = 128
NARROWEST_PROMPT = 32
"""Buckets begin here and double."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """A request that gets a slot."""

    row: int
    prompt: tuple[int, ...]
    sampling: Sampling
    seed: int
    version: int

    @property
    def length(self) -> int:
        """Columns it may come to take."""
        return len(self.prompt) + self.sampling.max_tokens


@dataclass(slots=True)
class _Prompts:
    """What a pass over prompts reads: `count` rows of `width` columns, padded on the right."""

    ids: Tensor
    rows: Tensor
    slots: Tensor


class SlotDecoder:
    """So many slots around a student, each with room for so many tokens."""

    def __init__(self, student: LoadedStudent, adapters: StackedAdapters, *, rows: int, columns: int, together: int):
        """Take the memory.

        Args:
            student: A causal student whose layers see the whole text.
            adapters: Around it.
            rows: Slots.
            columns: Tokens that each has room for, its prompt included.
            together: Prompt tokens, padding included, that go through the model in one pass.

        Raises:
            ConfigError: as `SlotCache`.
        """
        self._student, self._adapters, self._together = student, adapters, together
        self._most_rows, self._most_columns = rows, columns
        self._cache = SlotCache(student.name, student.model, rows, columns)
        self.graphs = Graphs(student.device)
        whole: dict[str, Any] = {"dtype": torch.long, "device": student.device}
        real: dict[str, Any] = {"dtype": torch.float32, "device": student.device}
        self._rows = torch.arange(rows, **whole)
        self._columns = torch.arange(columns, **whole)
        # Of every slot: the token that goes in next, its column, how many were said, its adapter's place, its sampling.
        self._states = tuple(torch.zeros(rows, **whole) for _ in range(4))
        self._token, self._column, self._said, self._slot = self._states
        self._temperature, self._top_p = torch.zeros(rows, 1, **real), torch.ones(rows, 1, **real)
        self._uniform = torch.zeros(rows, columns, **real)
        self._recent, self._tick = torch.zeros(STRIDE, rows, **whole), torch.zeros(1, **whole)
        self._prompts: dict[tuple[int, int], _Prompts] = {}

    def begin(self, beginnings: Sequence[Beginning]) -> None:
        """Read prompts, all but their last tokens, into their slots. Equal ones of one adapter are read once."""
        if not beginnings:
            return
        self._cache.clear(
            self._moved([each.row for each in beginnings]), self._seen(max(each.length for each in beginnings))
        )
        first: dict[tuple[int, tuple[int, ...]], Beginning] = {}
        copies: dict[int, list[tuple[int, int]]] = {}
        for each in beginnings:
            one = first.setdefault((each.version, each.prompt), each)
            if one is not each:
                copies.setdefault(_bucket(len(each.prompt), NARROWEST_PROMPT), []).append((one.row, each.row))
        self._read([each for each in first.values() if len(each.prompt) > 1])
        for width, pairs in copies.items():
            source, target = (self._moved(list(rows)) for rows in zip(*pairs, strict=True))
            self._cache.copy(source, target, min(width, self._most_columns))
        rows = self._moved([each.row for each in beginnings])
        for state, values in (
            (self._token, [each.prompt[-1] for each in beginnings]),
            (self._column, [len(each.prompt) - 1 for each in beginnings]),
            (self._said, [0] * len(beginnings)),
            (self._slot, [self._adapters.slot(each.version) for each in beginnings]),
        ):
            state[rows] = self._moved(values)
        numbers = torch.zeros(len(beginnings), max(each.sampling.max_tokens for each in beginnings))
        for row, each in zip(numbers, beginnings, strict=True):
            row[: each.sampling.max_tokens] = uniform_numbers(each.seed, each.sampling.max_tokens)
        self._uniform[rows, : numbers.shape[1]] = self._moved(numbers)
        self._temperature[rows, 0] = self._moved(torch.tensor([each.sampling.temperature for each in beginnings]))
        self._top_p[rows, 0] = self._moved(torch.tensor([each.sampling.top_p for each in beginnings]))

    def move(self, moves: Sequence[tuple[int, int]], columns: int) -> None:
        """Move what so many columns hold, and all that is known of it, from rows to others that nobody has."""
        if not moves:
            return
        source, target = (self._moved(list(rows)) for rows in zip(*moves, strict=True))
        self._cache.clear(target, self._most_columns)
        self._cache.copy(source, target, self._seen(columns))
        for state in (*self._states, self._temperature, self._top_p, self._uniform):
            state[target] = state[source]

    def go_on(self, rows: int, longest: int, steps: int) -> list[list[int]]:
        """Have the first rows say some tokens each.

        Args:
            rows: At least one more than the highest slot that is taken.
            longest: Columns that the longest text has when this is done, at most.
            steps: At most `STRIDE`.

        Returns:
            The new tokens of each row. Those of slots that nobody has mean nothing.
        """
        count, seen = min(rows_computed(rows), self._most_rows), self._seen(longest)
        state = (self._token, self._column, self._said, self._tick)
        self._tick.zero_()
        for _ in range(steps):
            self.graphs.run(("step", count, seen), lambda: self._step(count, seen), state)
        found: list[list[int]] = self._recent[:steps, :rows].T.tolist()
        return found

    def _step(self, count: int, seen: int) -> None:
        """One token for each of the first rows, which look at the first columns."""
        model = self._student.model
        token, column, said = self._token[:count], self._column[:count], self._said[:count]
        self._adapters.choose(self._slot[:count])
        self._cache.add_one(self._rows[:count], column, seen)
        hidden = self._columns[:seen] > column.unsqueeze(1)
        mask = torch.zeros(hidden.shape, dtype=model.dtype, device=hidden.device).masked_fill_(hidden, float("-inf"))
        inputs = {
            "input_ids": token.unsqueeze(1),
            "position_ids": column.unsqueeze(1),
            "attention_mask": mask[:, None, None],
        }
        logits = model(**accepted_inputs(model, with_cache(inputs, self._cache))).logits[:, -1]
        uniform = self._uniform[:count].gather(1, said.unsqueeze(1))
        chosen = draw(logits, uniform, self._temperature[:count], self._top_p[:count]).squeeze(1)
        self._recent[:, :count].index_copy_(0, self._tick, chosen.unsqueeze(0))
        token.copy_(chosen)
        # A slot that nobody has any more goes on in its last column.
        column.add_(1).clamp_(max=self._most_columns - 1)
        said.add_(1).clamp_(max=self._most_columns - 1)
        self._tick.add_(1)

    def _read(self, beginnings: Sequence[Beginning]) -> None:
        for count, width, group in self._passes(beginnings):
            prompts = self._prompts.get((count, width))
            if prompts is None:
                whole: dict[str, Any] = {"dtype": torch.long, "device": self._student.device}
                prompts = self._prompts[count, width] = _Prompts(
                    torch.zeros(count, width, **whole), torch.zeros(count, **whole), torch.zeros(count, **whole)
                )
            padding = [0] * (count - len(group))
            ids = [[*each.prompt[:-1], *[0] * (width - len(each.prompt) + 1)] for each in group]
            prompts.ids.copy_(self._moved([*ids, *([0] * width for _ in padding)]))
            # Rows that make up the number write where nobody reads.
            prompts.rows.copy_(self._moved([*(each.row for each in group), *(self._most_rows for _ in padding)]))
            prompts.slots.copy_(self._moved([*(self._adapters.slot(each.version) for each in group), *padding]))
            self.graphs.run(("prompts", count, width), partial(self._read_one, prompts))

    def _read_one(self, prompts: _Prompts) -> None:
        model = self._student.model
        self._adapters.choose(prompts.slots)
        self._cache.read_prompts(prompts.rows)
        positions = self._columns[: prompts.ids.shape[1]].unsqueeze(0).expand_as(prompts.ids)
        # No mask: what pads a prompt stands behind it, where no token of it looks.
        inputs = {"input_ids": prompts.ids, "position_ids": positions, "logits_to_keep": 1}
        model(**accepted_inputs(model, with_cache(inputs, self._cache)))

    def _passes(self, beginnings: Sequence[Beginning]) -> Iterable[tuple[int, int, list[Beginning]]]:
        """Rows, columns and requests of each pass that reads prompts."""
        by_width: dict[int, list[Beginning]] = {}
        for each in beginnings:
            width = min(_bucket(len(each.prompt) - 1, NARROWEST_PROMPT), self._most_columns)
            by_width.setdefault(width, []).append(each)
        for width, group in by_width.items():
            most = max(1, self._together // width)
            for start in range(0, len(group), most):
                part = group[start : start + most]
                yield min(_bucket(len(part), 1), most), width, part

    def _seen(self, length: int) -> int:
        return min(_bucket(length, FEWEST_COLUMNS), self._most_columns)

    def _moved(self, values: Sequence[Any] | Tensor) -> Tensor:
        """Whole numbers, or what is a tensor already, on the device; nobody waits for what is computed there."""
        tensor = values if isinstance(values, Tensor) else torch.tensor(values, dtype=torch.long)
        return moved(tensor, self._student.device)


def rows_computed(rows: int) -> int:
    """How many rows a step computes for so many slots, where it has them."""
    return _bucket(rows, FEWEST_ROWS)


def _bucket(size: int, fewest: int) -> int:
    """The smallest bucket that a size fits into."""
    found = fewest
    while found < size:
        found *= 2
    return found
