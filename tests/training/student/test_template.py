import copy
from typing import Any

import pytest

from openmic.core.errors import StudentError
from openmic.core.records import Message
from openmic.training.student.template import end_in_template, render_conversation

from . import templates

TALK = (
    Message(role="system", content="Be funny."),
    Message(role="user", content="The bus was late."),
    Message(role="assistant", content="A draft."),
    Message(role="user", content="Shorter."),
)


@pytest.fixture
def tokenizer(tiny_tokenizer: Any) -> Any:
    """A tokenizer of its own, for a template to be put into."""
    return copy.deepcopy(tiny_tokenizer)


def rendered(tokenizer: Any, template: str, messages: tuple[Message, ...] = TALK[:2], **kwargs: Any) -> str:
    tokenizer.chat_template = template
    return render_conversation(tokenizer, messages, kwargs, name="tiny")


@pytest.mark.parametrize("template", [templates.GEMMA, templates.MISTRAL, templates.SILENT])
def test_a_system_message_that_a_template_does_not_take_goes_into_the_users_turn(tokenizer: Any, template: str) -> None:
    for talk in (TALK, TALK[:2]):
        text = rendered(tokenizer, template, talk)
        assert "Be funny.\n\nThe bus was late." in text
        assert text.count("Be funny.") == 1


def test_gemma_is_asked_in_its_own_words(tokenizer: Any) -> None:
    tokenizer.bos_token = "<s>"
    assert rendered(tokenizer, templates.GEMMA, TALK).removeprefix("<s>") == (
        "<start_of_turn>user\nBe funny.\n\nThe bus was late.<|im_end|>\n<start_of_turn>model\nA draft.<|im_end|>\n"
        "<start_of_turn>user\nShorter.<|im_end|>\n<start_of_turn>model\n"
    )


def test_a_system_message_alone_becomes_the_users(tokenizer: Any) -> None:
    assert rendered(tokenizer, templates.MISTRAL, TALK[:1]) == "[INST] Be funny. [/INST]"


def test_a_template_that_takes_a_system_message_gets_it(tokenizer: Any) -> None:
    assert rendered(tokenizer, templates.R1).startswith("system: Be funny.\nuser: The bus was late.\n")
    assert rendered(tokenizer, templates.QWEN3, TALK[1:2]).startswith("<|im_start|>user\nThe bus was late.")


@pytest.mark.parametrize(
    ("template", "end"),
    [
        (templates.QWEN3, "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        (templates.DEEPSEEK, "assistant: </think>"),
        (templates.R1, "assistant: <think>\n\n</think>\n\n"),
        (templates.MAGISTRAL, "[THINK]\n\n[/THINK]\n\n"),
        (templates.R1.replace("<think>", "<seed:think>"), "assistant: <seed:think>\n\n</seed:think>\n\n"),
    ],
    ids=["qwen3", "deepseek", "r1", "magistral", "seed"],
)
def test_a_model_that_thinks_is_told_not_to(tokenizer: Any, template: str, end: str) -> None:
    assert rendered(tokenizer, template).endswith(end)


def test_a_model_may_be_let_think(tokenizer: Any) -> None:
    assert rendered(tokenizer, templates.QWEN3, enable_thinking=True).endswith("<|im_start|>assistant\n")
    assert rendered(tokenizer, templates.DEEPSEEK, thinking=True).endswith("assistant: <think>")
    assert rendered(tokenizer, templates.R1, enable_thinking=True).endswith("assistant: <think>\n")


@pytest.mark.parametrize("template", [templates.REFUSES_ALL, templates.BROKEN, "{% if %}"])
def test_a_template_that_renders_nothing_is_named(tokenizer: Any, template: str) -> None:
    with pytest.raises(StudentError, match=r"the chat template of 'tiny' does not render .*set student\.chat_template"):
        rendered(tokenizer, template)


def test_what_stands_behind_an_answer(tokenizer: Any) -> None:
    for template, end in ((templates.QWEN3, "<|im_end|>\n"), (templates.MISTRAL, "<|im_end|>"), (templates.BROKEN, "")):
        tokenizer.chat_template = template
        assert end_in_template(tokenizer) == end
