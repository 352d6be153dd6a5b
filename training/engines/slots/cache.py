"""Keys and values of all slots in one tensor that never moves; a slot is a row of it.

transformers' own static cache has one place that all rows write to next. Here each row has its own, so that requests
join and leave at any step; nothing else about it is new, and models take it as they take transformers' other caches.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin

from ....core.errors import ConfigError
from ...student.student import accepted_inputs, with_cache


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    """One layer's part: views of the whole, and what the next pass writes where and sees of it."""

    is_sliding = False

    def __init__(self, places: "_Places", keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.keys, self.values, self.is_initialized = keys, values, True
        self._places = places

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """There is nothing left to do."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write new keys and values [rows, heads, tokens, size] and return those that are attended to."""
        places = self._places
        assert self.keys is not None
        assert self.values is not None
        if places.seen is None:  # a prompt from its beginning attends to itself alone
            width = key_states.shape[-2]
            self.keys[places.rows, :, :width] = key_states
            self.values[places.rows, :, :width] = value_states
            return key_states, value_states
        self.keys[places.rows, :, places.columns] = key_states[:, :, 0]
        self.values[places.rows, :, places.columns] = value_states[:, :, 0]
        count = len(places.rows)
        return self.keys[:count, :, : places.seen], self.values[:count, :, : places.seen]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """A prompt sees itself; a step brings its own mask."""
        return query_length, 0

    def get_seq_length(self) -> int:
        """Nothing that a model could count with: every pass brings its positions."""
        return 0

    def get_max_length(self) -> int:
        """Columns."""
        assert self.keys is not None
        return self.keys.shape[-2]


class _Places:
    """Where the next pass writes; the same for all layers."""

    rows: Tensor
    columns: Tensor
    seen: int | None = None


class SlotCache(Cache):
    """A cache of so many rows and columns, and one more row for what nobody will read."""

    def __init__(self, name: str, model: Any, rows: int, columns: int) -> None:
        """Look at a pass of the model over one token for the shape of its keys and values.

        Raises:
            ConfigError: its layers keep something else than keys and values of one shape.
        """
        probe = DynamicCache(config=model.config)
        token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        model(**accepted_inputs(model, with_cache({"input_ids": token}, probe)))
        found = [(getattr(layer, "keys", None), getattr(layer, "values", None)) for layer in probe.layers]
        shapes = {None if part is None else tuple(part.shape) for pair in found for part in pair}
        if len(shapes) != 1 or None in shapes:
            raise ConfigError(
                f"student.engine=slots keeps keys and values of one shape in all layers, which {name!r} does not have; "
                "set student.engine to static"
            )
        [shape] = shapes
        assert shape is not None
        first = found[0][0]
        assert first is not None
        self._places = _Places()
        # [layers, keys and values, rows, heads, columns, size]
        size = (len(found), 2, rows + 1, shape[1], columns, shape[3])
        self._store = torch.zeros(size, dtype=first.dtype, device=first.device)
        super().__init__(layers=[_Layer(self._places, keys, values) for keys, values in self._store])

    def read_prompts(self, rows: Tensor) -> None:
        """The next pass reads prompts from their beginning into these rows."""
        self._places.rows, self._places.seen = rows, None

    def add_one(self, rows: Tensor, columns: Tensor, seen: int) -> None:
        """The next pass adds one token to each of the first rows.

        Args:
            rows: [B] int64: 0 to B - 1.
            columns: [B] int64, the column that each writes to.
            seen: Columns that are attended to, as far as the mask lets it.
        """
        self._places.rows, self._places.columns, self._places.seen = rows, columns, seen

    def clear(self, rows: Tensor, columns: int) -> None:
        """Zeros in the first columns of these rows: a mask does not help against what is no number."""
        self._store[:, :, rows, :, :columns] = 0

    def copy(self, source: Tensor, target: Tensor, columns: int) -> None:
        """The first columns of the source rows into the target rows."""
        self._store[:, :, target, :, :columns] = self._store[:, :, source, :, :columns]
