"""The Modelfile's template writes a conversation as the student's own does."""

import copy
import re
from dataclasses import replace
from typing import Any

import pytest

from openmic.core.records import Message
from openmic.training.export.modelfile import template_of, write_modelfile
from openmic.training.student.student import LoadedStudent
from openmic.training.student.template import render_conversation

from ..conftest import BuildStudent

GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}{% for m in messages %}"
    "<turn>{{ m.role }}\n{{ m.content }}</turn>\n{% endfor %}{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
DEFAULTED = (
    "{% for m in messages %}{% if loop.first and messages[0].role != 'system' %}<s>You are helpful.</s>{% endif %}"
    "<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def with_template(student: LoadedStudent, template: str) -> LoadedStudent:
    """The student with another template; its tokenizer is shared by all tests."""
    tokenizer = copy.deepcopy(student.tokenizer)
    tokenizer.chat_template = template
    return replace(student, tokenizer=tokenizer)


def filled(template: str, system: str, prompt: str) -> str:
    """What Ollama makes of such a template; it knows no other actions."""
    kept = r"\3" if not system else r"\1"
    text = re.sub(r"(?s)\{\{ if \.System \}\}(.*?)(\{\{ else \}\})(.*?)\{\{ end \}\}", kept, template)
    text = text.replace("{{ .System }}", system).replace("{{ .Prompt }}", prompt)
    return text.partition("{{ .Response }}")[0]


@pytest.mark.parametrize("chat", [None, GEMMA, DEFAULTED])
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_the_template_renders_as_the_student_s_own(student: BuildStudent, chat: str | None, system: str) -> None:
    llama = student("llama")
    llama = with_template(llama, chat or llama.tokenizer.chat_template)
    told = [Message(role="system", content=system)] if system else []
    expected = render_conversation(llama.tokenizer, [*told, Message(role="user", content="Soup, 汤.")])
    template = template_of(llama)
    assert template is not None
    assert filled(template, system, "Soup, 汤.") == expected


@pytest.mark.parametrize("chat", ["{% for m in messages %}{{ '{{' }}{{ m.content }}{% endfor %}", "{{ 'nothing' }}"])
def test_a_template_that_ollama_s_cannot_say_is_left_to_the_file_and_that_is_said(
    student: BuildStudent, chat: str
) -> None:
    llama = with_template(student("llama"), chat)
    assert "TEMPLATE" not in (said := write_modelfile(llama, {}))
    assert "# The chat template has no form" in said


@pytest.mark.parametrize(
    ("prompts", "there", "not_there"),
    [
        ({"system": "Two\nlines."}, ['SYSTEM """Two\nlines."""'], "#"),
        ({"system": 'Say """it""".'}, ["# The system prompt holds three double quotes"], "SYSTEM "),
        ({"system": ""}, ['PARAMETER stop "<|im_end|>"'], "SYSTEM "),
        ({"draft": "Rewrite: {{ input }}"}, ["# What is asked: Rewrite: {{ input }}"], "SYSTEM "),
        (
            {"sampling": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 48, "num_beams": 1}},
            ["PARAMETER temperature 0.7", "PARAMETER top_p 0.9", "PARAMETER num_predict 48"],
            "num_beams",
        ),
    ],
)
def test_prompts_and_sampling_are_said(
    student: BuildStudent, prompts: dict[str, Any], there: list[str], not_there: str
) -> None:
    said = write_modelfile(student("llama"), prompts)
    assert said.startswith("FROM ./model.gguf\n")
    assert all(line in said for line in there)
    assert not_there not in said
