"""What the starting model thinks of every text: log-probabilities per token, computed once."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..student.device import moved
from ..student.memory import ran_out
from ..student.student import LoadedStudent
from ..student.tokenization import EncodedPair
from .examples import EncodedExample
from .logprobs import measure
from .portions import Portions
from .precision import Precision
from .process_group import SINGLE, ProcessGroup


class Reference:
    """Log-probabilities of texts under one model."""

    def __init__(self, items: Sequence[EncodedExample], logprobs: Tensor) -> None:
        """Take the log-probabilities of the items' texts, [all completion tokens] one text after the other."""
        self.logprobs = logprobs
        texts = _texts(items)
        parts = torch.split(logprobs, [len(text.completion) for text in texts])
        self._logprobs = dict(zip(texts, parts, strict=True))

    def rows(self, texts: Sequence[EncodedPair], like: Tensor) -> Tensor:
        """[R, C] of the given tensor's shape, format and device: a row for each text, 0 beyond its tokens."""
        rows = torch.zeros(like.shape, dtype=like.dtype)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text.completion)] = self._logprobs[text]
        return moved(rows, str(like.device))


def reference_of(
    student: LoadedStudent,
    model: Any,
    items: Sequence[EncodedExample],
    *,
    precision: Precision,
    portions: Portions,
    group: ProcessGroup = SINGLE,
    on_batch: Callable[[int, int], None] = lambda _done, _of: None,
) -> Reference:
    """The log-probabilities of every row under the model as it stands, without gradients.

    Args:
        student: The model's tokenizer and kind.
        model: The PEFT model that training starts from.
        items: All examples, held-out ones too.
        precision: What to compute in; the training must use the same.
        portions: Examples measured together; fewer where memory runs out.
        group: The processes that share the work.
        on_batch: Told the batches done and the batches in all, of this process.

    Raises:
        TrainingError: memory ran out over a single example.
    """
    return Reference(items, _measure(student, model, _texts(items), precision, portions, group, on_batch))


def _texts(items: Sequence[EncodedExample]) -> list[EncodedPair]:
    return list(dict.fromkeys(row.text for item in items for row in item.rows))


@torch.no_grad()
def _measure(
    student: LoadedStudent,
    model: Any,
    texts: Sequence[EncodedPair],
    precision: Precision,
    portions: Portions,
    group: ProcessGroup,
    on_batch: Callable[[int, int], None],
) -> Tensor:
    """[all completion tokens] float32 on the CPU. Texts of one prompt lie together, and those of similar length."""
    was_training = model.training
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i].prompt), texts[i].prompt))
    size, found = 2 * portions.size, dict[int, Tensor]()
    batches = group.share([order[start : start + size] for start in range(0, len(order), size)])
    for done, places in enumerate(batches):
        on_batch(done, len(batches))
        left = list(places)
        while left:
            together = left[: 2 * portions.size]
            try:
                rows = measure(student, model, [texts[i] for i in together], precision)[0].cpu()
            except (MemoryError, RuntimeError) as error:
                if not ran_out(error):
                    raise
            else:
                found.update((i, row[: len(texts[i].completion)]) for i, row in zip(together, rows, strict=True))
                left = left[len(together) :]
                continue
            portions.lessen()
    on_batch(len(batches), len(batches))
    model.train(was_training)
    for part in group.all_gather(found):
        found.update(part)
    portions.limit(min(group.all_gather(portions.size)))
    return torch.cat([found[i] for i in range(len(texts))])
