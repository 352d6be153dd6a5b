"""Messages become token ids, examples become padded batches with completion masks.

Prompts are padded on the left and completions on the right, so that every completion begins in the same column. A
prompt that several completions answer stands in the batch once:

    prompts              completions            prompt_of
    pad  p1  p2  p3      c1  c2  eos pad        0
    q1   q2  q3  q4      c1  eos pad pad        0
                         d1  d2  d3  eos        1

A causal student reads the completion behind its prompt; a sequence-to-sequence one has the prompt in the encoder,
padded on the right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...core.records import Message
from .device import moved
from .student import LoadedStudent
from .template import render_conversation


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A prompt and one completion as token ids; of a text that was not cut off, with the end-of-sequence token."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    @property
    def length(self) -> int:
        """Tokens of both parts together."""
        return len(self.prompt) + len(self.completion)


@dataclass(frozen=True, slots=True)
class CompletionBatch:
    """A padded batch of U different prompts (P columns) and B completions (C columns)."""

    prompt_ids: Tensor
    """[U, P] int64, padded as `pad_prompts` does."""
    prompt_mask: Tensor
    """[U, P] int64, 1 on real tokens."""
    prompt_of: Tensor
    """[B] int64: the row of each completion's prompt."""
    completion_ids: Tensor
    """[B, C] int64, padded on the right."""
    completion_mask: Tensor
    """[B, C] int64, 1 on real tokens, the end-of-sequence token included."""


def render_prompt(student: LoadedStudent, messages: Sequence[Message]) -> list[int]:
    """The token ids of a conversation that waits for the student to speak.

    A causal student with a chat template gets it. Any other model gets the contents one after the other, since that is
    all it knows.

    Raises:
        StudentError: the chat template refuses the conversation.
    """
    tokenizer = student.tokenizer
    if student.kind == "causal" and tokenizer.chat_template:
        text = render_conversation(tokenizer, messages, student.template_kwargs, name=student.name)
        return _ids(tokenizer(text, add_special_tokens=False))
    text = "\n".join(message.content for message in messages if message.content)
    return _ids(tokenizer(text if student.kind == "seq2seq" else text + "\n"))


def encode_completion(student: LoadedStudent, text: str, *, ended: bool = True) -> list[int]:
    """The token ids of what the student shall say, ending with one token that ends a text.

    A text that was cut off is not `ended`, and gets no such token: nobody said that a text ends there.
    """
    ids = _ids(
        student.tokenizer(text_target=text)
        if student.kind == "seq2seq"
        else student.tokenizer(text, add_special_tokens=False)
    )
    said = ids[:-1] if ids and ids[-1] in student.ends else ids
    return said if said and not ended else [*said, ids[-1] if len(said) < len(ids) else student.ends[0]]


def encode_pair(
    student: LoadedStudent, messages: Sequence[Message], completion: str, *, ended: bool = True
) -> EncodedPair:
    """Prompt and completion of one example; `ended` as for `encode_completion`."""
    said = encode_completion(student, completion, ended=ended)
    return EncodedPair(tuple(render_prompt(student, messages)), tuple(said))


def pad_left(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and mask, both [B, longest] int64, real tokens at the right."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def pad_right(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and mask, both [B, longest] int64, real tokens at the left."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([list(row) + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def pad_prompts(student: LoadedStudent, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids and mask, both [B, longest] int64: on the left, so that a causal student speaks right after its prompt.

    An encoder's prompts are padded on the right, since many of them count positions from the first column, padded or
    not, and take no position ids.
    """
    return (pad_left if student.kind == "causal" else pad_right)(prompts, student.tokenizer.pad_token_id)


def collate(student: LoadedStudent, pairs: Sequence[EncodedPair]) -> CompletionBatch:
    """Pad a batch into the layout of this module, on the student's device."""
    pad = student.tokenizer.pad_token_id
    prompts = {prompt: row for row, prompt in enumerate(dict.fromkeys(pair.prompt for pair in pairs))}
    prompt_of = torch.tensor([prompts[pair.prompt] for pair in pairs])
    parts = (*pad_prompts(student, list(prompts)), prompt_of, *pad_right([pair.completion for pair in pairs], pad))
    return CompletionBatch(*(moved(part, student.device) for part in parts))


def _ids(encoding: Any) -> list[int]:
    return [int(token) for token in encoding["input_ids"]]
