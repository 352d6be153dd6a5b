"""What the starting model thinks of every text: log-probabilities per token, computed once and kept in a file."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.ids import content_hash
from .examples import Item
from .logprobs import completion_logprobs
from .lora import fingerprint
from .precision import Precision
from .student import LoadedStudent
from .tokenization import EncodedPair, collate

KEY = "key"
"""The file's metadata entry that says what it was computed from."""


class Reference:
    """Log-probabilities of texts under one model."""

    def __init__(self, texts: Sequence[EncodedPair], logprobs: Tensor) -> None:
        """Take the texts' log-probabilities, [all completion tokens] one text after the other."""
        parts = torch.split(logprobs, [len(text.completion) for text in texts])
        self._logprobs = dict(zip(texts, parts, strict=True))

    def rows(self, texts: Sequence[EncodedPair], like: Tensor) -> Tensor:
        """[R, C] of the given tensor's shape, format and device: a row for each text, 0 beyond its tokens."""
        rows = torch.zeros(like.shape)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text.completion)] = self._logprobs[text]
        return rows.to(like)


def reference_of(
    student: LoadedStudent,
    model: Any,
    items: Sequence[Item],
    *,
    precision: Precision,
    batch_size: int,
    file: Path | None = None,
    on_batch: Callable[[int, int], None] = lambda _done, _of: None,
) -> Reference:
    """The log-probabilities of every row under the model as it stands, without gradients.

    Args:
        student: The model's tokenizer and kind.
        model: The PEFT model that training starts from.
        items: All examples, held-out ones too.
        precision: What to compute in; the training must use the same.
        batch_size: Examples measured together.
        file: Where they are kept, under a key of all they depend on: found there, nothing is computed. A file that
            belongs to other examples or another start, or cannot be read, is replaced.
        on_batch: Told the batches done and the batches in all.
    """
    texts = list(dict.fromkeys(row.text for item in items for row in item.rows))
    key = content_hash(
        {
            "student": student.name,
            "adapter": fingerprint(model),
            "precision": str(precision.dtype),
            "texts": [[text.prompt, text.completion] for text in texts],
        }
    )
    known = _read(file, key) if file else None
    if known is None:
        known = _measure(student, model, texts, precision, 2 * batch_size, on_batch)
        if file:
            _write(file, key, known)
    return Reference(texts, known)


@torch.no_grad()
def _measure(
    student: LoadedStudent,
    model: Any,
    texts: Sequence[EncodedPair],
    precision: Precision,
    size: int,
    on_batch: Callable[[int, int], None],
) -> Tensor:
    """[all completion tokens] float32 on the CPU. Texts of one prompt lie together, and those of similar length."""
    was_training = model.training
    model.eval()
    order = sorted(range(len(texts)), key=lambda i: (len(texts[i].prompt), texts[i].prompt))
    found: dict[int, Tensor] = {}
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    for done, places in enumerate(batches):
        on_batch(done, len(batches))
        with precision.compute():
            rows = completion_logprobs(student, model, collate(student, [texts[i] for i in places])).cpu()
        found.update((i, row[: len(texts[i].completion)]) for i, row in zip(places, rows, strict=True))
    on_batch(len(batches), len(batches))
    model.train(was_training)
    return torch.cat([found[i] for i in range(len(texts))])


def _read(file: Path, key: str) -> Tensor | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as stored:
            return stored.get_tensor("logprobs") if (stored.metadata() or {}).get(KEY) == key else None
    except (OSError, SafetensorError):
        return None


def _write(file: Path, key: str, logprobs: Tensor) -> None:
    """Under a temporary name first: a file that is there is whole."""
    from safetensors.torch import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    work = file.with_name(f".{file.name}.{os.getpid()}")
    save_file({"logprobs": logprobs.contiguous()}, work, metadata={KEY: key})
    work.replace(file)
