import copy

import pytest

from openmic.core.records import Message
from openmic.training.student.student import LoadedStudent
from openmic.training.student.tokenization import (
    EncodedPair,
    collate,
    encode_completion,
    encode_pair,
    pad_left,
    pad_right,
    render_prompt,
)

from ..conftest import BuildStudent
from ..factories import TEXTS, messages

LLAMA_AND_T5 = pytest.mark.parametrize("name", ["llama", "t5"])


def test_padding_on_the_left() -> None:
    ids, mask = pad_left([[5, 6, 7], [8]], pad=0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_padding_on_the_right() -> None:
    ids, mask = pad_right([[5, 6, 7], [8]], pad=0)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_token_that_equals_the_padding_counts_where_it_was_said() -> None:
    ids, mask = pad_right([[5, 2], [2], [5, 6, 2]], pad=2)
    assert ids.tolist() == [[5, 2, 2], [2, 2, 2], [5, 6, 2]]
    assert mask.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]


def test_a_causal_student_gets_its_chat_template_once(student: BuildStudent) -> None:
    llama = student("llama")
    prompt = llama.tokenizer.decode(render_prompt(llama, messages("The bus was late.")))
    assert prompt == (
        "<|im_start|>system\nBe funny.<|im_end|>\n"
        "<|im_start|>user\nThe bus was late.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_conversation_keeps_what_was_said_before(student: BuildStudent) -> None:
    llama = student("llama")
    talk = (*messages(), Message(role="assistant", content="A draft."), Message(role="user", content="Shorter."))
    prompt = llama.tokenizer.decode(render_prompt(llama, talk))
    assert prompt.endswith(
        "<|im_start|>assistant\nA draft.<|im_end|>\n<|im_start|>user\nShorter.<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_causal_student_without_a_template_gets_the_contents(student: BuildStudent) -> None:
    llama = student("llama")
    tokenizer = copy.deepcopy(llama.tokenizer)
    tokenizer.chat_template = None
    plain = LoadedStudent("plain", "causal", llama.model, tokenizer, "cpu")
    empty = (Message(role="system", content=""), Message(role="user", content="Hello."))
    assert tokenizer.decode(render_prompt(plain, messages("Hello."))) == "Be funny.\nHello.\n"
    assert tokenizer.decode(render_prompt(plain, empty)) == "Hello.\n"


def test_a_seq2seq_student_gets_the_contents_as_its_tokenizer_ends_them(student: BuildStudent) -> None:
    t5 = student("t5")
    ids = render_prompt(t5, messages("Hello."))
    assert t5.tokenizer.decode(ids) == "Be funny.\nHello.<|im_end|>"


@LLAMA_AND_T5
@pytest.mark.parametrize("text", ["A joke.", ""])
def test_a_completion_ends_with_one_end_of_sequence(student: BuildStudent, name: str, text: str) -> None:
    one = student(name)
    ids = encode_completion(one, text)
    assert ids[-1] == one.tokenizer.eos_token_id
    assert ids.count(one.tokenizer.eos_token_id) == 1
    assert one.tokenizer.decode(ids[:-1]) == text


@LLAMA_AND_T5
def test_a_text_that_was_cut_off_has_no_end_of_sequence(student: BuildStudent, name: str) -> None:
    one = student(name)
    whole = encode_completion(one, "A joke that goes on")
    assert encode_completion(one, "A joke that goes on", ended=False) == whole[:-1]
    assert encode_completion(one, "", ended=False) == [one.tokenizer.eos_token_id]  # a row needs a token


def test_a_pair_knows_its_length(student: BuildStudent) -> None:
    llama = student("llama")
    pair = encode_pair(llama, messages(), "A joke.")
    assert list(pair.prompt) == render_prompt(llama, messages())
    assert list(pair.completion) == encode_completion(llama, "A joke.")
    assert pair.length == len(pair.prompt) + len(pair.completion)


@LLAMA_AND_T5
def test_a_batch_marks_exactly_the_tokens_of_each_row(student: BuildStudent, name: str) -> None:
    one = student(name)
    said = ("A joke.", "", "Another joke that is a good deal longer than the others.", "No.")
    pairs = [encode_pair(one, messages(text), completion) for text, completion in zip(TEXTS, said, strict=True)]
    batch = collate(one, pairs)
    for row, pair in enumerate(pairs):
        prompt, mask = batch.prompt_ids[batch.prompt_of[row]], batch.prompt_mask[batch.prompt_of[row]]
        assert prompt[mask == 1].tolist() == list(pair.prompt)
        assert batch.completion_ids[row][batch.completion_mask[row] == 1].tolist() == list(pair.completion)
        assert mask.tolist() == sorted(mask.tolist(), reverse=name == "t5")  # an encoder counts from the left
        assert batch.completion_mask[row].tolist() == sorted(batch.completion_mask[row].tolist(), reverse=True)


def test_a_batch_is_as_wide_as_its_longest_parts(student: BuildStudent) -> None:
    batch = collate(student("llama"), [EncodedPair((5, 6, 7), (8,)), EncodedPair((5,), (8, 9))])
    assert batch.prompt_ids.shape == batch.prompt_mask.shape == (2, 3)
    assert batch.completion_ids.shape == batch.completion_mask.shape == (2, 2)


def test_completions_of_one_prompt_share_it(student: BuildStudent) -> None:
    pairs = [EncodedPair((5, 6), (8,)), EncodedPair((7,), (8,)), EncodedPair((5, 6), (9,))]
    batch = collate(student("llama"), pairs)
    assert batch.prompt_ids.shape == (2, 2)
    assert batch.prompt_of.tolist() == [0, 1, 0]
