import copy
from types import SimpleNamespace
from typing import Any

import pytest

from openmic.training.engines.tiny_student import llama
from openmic.training.student.ends import end_tokens
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import encode_completion

from . import templates


def config(*ends: int | list[int] | None) -> Any:
    return SimpleNamespace(eos_token_id=ends[0])


@pytest.fixture
def tokenizer(tiny_tokenizer: Any) -> Any:
    """One whose own end is not what its template ends a turn with, as Gemma's."""
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.eos_token = "."
    tokenizer.chat_template = templates.GEMMA
    return tokenizer


def test_every_end_counts_and_the_templates_own_comes_first(tokenizer: Any) -> None:
    own, turn, other = tokenizer.convert_tokens_to_ids([".", "<|im_end|>", "?"])
    assert end_tokens(tokenizer) == (own,)
    assert end_tokens(tokenizer, config(own)) == (own,)
    assert end_tokens(tokenizer, config([own, other])) == (own, other)
    assert end_tokens(tokenizer, config([own, other, turn])) == (turn, own, other)
    tokenizer.chat_template = None
    assert end_tokens(tokenizer, config([own, turn])) == (own, turn)


def test_a_tokenizer_without_an_end_has_the_models(tokenizer: Any) -> None:
    tokenizer.eos_token = None
    assert end_tokens(tokenizer) == ()
    assert end_tokens(tokenizer, config(None)) == ()
    assert end_tokens(tokenizer, config([7, 8])) == (7, 8)
    assert end_tokens(tokenizer, config(7)) == (7,)


def test_a_training_text_ends_as_the_template_ends_one(tokenizer: Any) -> None:
    model = llama(tokenizer)
    turn, other = tokenizer.convert_tokens_to_ids(["<|im_end|>", "?"])
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, turn, other]
    student = LoadedStudent("tiny", "causal", model, tokenizer, "cpu")
    assert encode_completion(student, "A joke")[-1] == turn
    assert encode_completion(student, "A joke?")[-1] == other  # it ends already
    assert encode_completion(student, "A joke.<|im_end|>").count(turn) == 1


def test_what_has_no_padding_is_padded_with_an_end(tokenizer: Any) -> None:
    model = llama(tokenizer)
    tokenizer.eos_token = tokenizer.pad_token = None
    model.generation_config.eos_token_id = [5, 6]
    assert LoadedStudent("tiny", "causal", model, tokenizer, "cpu").tokenizer.pad_token_id == 5
