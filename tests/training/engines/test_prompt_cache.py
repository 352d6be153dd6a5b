"""What the prompts of a static batch have in common goes through the model once."""

from typing import Any

import pytest
import torch

from openmic.training.engines.prompt_cache import pad_behind_beginning, shared_prefill
from openmic.training.engines.static import BatchGenerator
from openmic.training.student.tokenization import render_prompt

from ..conftest import BuildStudent
from ..factories import TEXTS, request


def test_shorter_prompts_are_padded_behind_what_all_begin_with() -> None:
    ids, mask, beginning = pad_behind_beginning([(1, 2, 3, 4, 5), (1, 2, 6), (1, 2, 3, 7)], 0)
    assert ids.tolist() == [[1, 2, 3, 4, 5], [1, 2, 0, 0, 6], [1, 2, 0, 3, 7]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 1], [1, 1, 0, 1, 1]]
    assert beginning == 2


def test_a_beginning_leaves_every_prompt_its_last_token() -> None:
    assert pad_behind_beginning([(1, 2, 3), (1, 2)], 0)[2] == 1
    assert pad_behind_beginning([(1,), (1,)], 0)[2] == 0
    assert pad_behind_beginning([(1, 2), (1, 2)], 0)[2] == 1


@pytest.mark.parametrize("copies", [1, 3])
def test_a_batch_reads_its_beginning_once_and_every_prompt_once(student: BuildStudent, copies: int) -> None:
    llama = student("llama")
    prompts = [render_prompt(llama, request(text).messages) for text in TEXTS[:3]]
    ids, mask, beginning = pad_behind_beginning(prompts * copies, llama.tokenizer.pad_token_id)
    read: list[int] = []

    def count(_: object, inputs: tuple[Any, ...]) -> None:
        read.append(inputs[0].numel())

    llama.model.get_input_embeddings().register_forward_pre_hook(count)
    with torch.inference_mode():
        cache = shared_prefill(llama.model, ids, mask, beginning)
    assert cache is not None
    assert cache.get_seq_length() == ids.shape[1] - 1
    assert beginning > 10
    assert sum(read) == beginning + 3 * (ids.shape[1] - 1 - beginning)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_what_is_read_together_is_what_each_would_read_alone(student: BuildStudent, name: str) -> None:
    asked = [request(text, seed=seed, max_tokens=15) for seed in (1, 2) for text in TEXTS]
    engine = BatchGenerator(student(name), max_batch=8)
    together = [each.token_ids for each in engine.generate(asked)]
    assert together == [engine.generate([each])[0].token_ids for each in asked]


def test_nothing_in_common_is_left_to_generate(student: BuildStudent) -> None:
    llama = student("llama")
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    assert shared_prefill(llama.model, ids, torch.ones_like(ids)) is None
