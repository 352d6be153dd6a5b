"""Examples in whatever form people have them; what cannot be told for certain is refused with its place."""

import re
from typing import Any

import pandas as pd  # type: ignore[import-untyped]  # it ships no types
import pytest
from datasets import Dataset

from openmic.core.errors import ConfigError
from openmic.core.records import Message, TrainingExample
from openmic.training.example_forms import as_examples, as_messages

ASKED = [{"role": "user", "content": "A bus."}]


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


PAIR = {"prompt": "A bus.", "chosen": "Late.", "rejected": "No.", "margin": 0.4}
IMPLICIT = {"chosen": [*ASKED, *said("Late.")], "rejected": [*ASKED, *said("No.")]}


@pytest.mark.parametrize(
    ("given", "completions"),
    [
        (("A bus.", "Late."), ("Late.",)),
        (["A bus.", "Late.", "No."], ("Late.", "No.")),
        (("A bus.", ["Late.", "Meh.", "No."]), ("Late.", "Meh.", "No.")),
        ((ASKED, said("Late.")), ("Late.",)),
        ((ASKED, said("Late."), said("No.")), ("Late.", "No.")),
        (PAIR, ("Late.", "No.")),
        ({"prompt": ASKED, "chosen": said("Late."), "rejected": said("No.")}, ("Late.", "No.")),
        (IMPLICIT, ("Late.", "No.")),
        ({"prompt": "A bus.", "completion": "Late."}, ("Late.",)),
        ({"prompt": ASKED, "completion": said("Late.")}, ("Late.",)),
        ({"prompt": "A bus.", "completions": ["Late.", "No."]}, ("Late.", "No.")),
        ({"messages": [*ASKED, *said("Late.")]}, ("Late.",)),
    ],
)
def test_every_form_is_read_as_it_is_meant(given: Any, completions: tuple[str, ...]) -> None:
    [example] = as_examples([given])
    assert example == TrainingExample("example-0", (Message(role="user", content="A bus."),), completions)


def test_tables_are_read_row_by_row() -> None:
    rows = [PAIR, PAIR | {"prompt": "Soup."}]
    expected = as_examples(rows)
    assert [example.completions for example in expected] == [("Late.", "No.")] * 2
    assert as_examples(pd.DataFrame(rows)) == as_examples(Dataset.from_list(rows)) == expected
    assert as_examples(row for row in rows) == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "examples: None is a NoneType; give a list"),
        ("ab", "examples: 'ab' is a str; give a list"),
        (PAIR, "is a dict; give a list"),
        (["ab"], "example 0 is 'ab'; make it (prompt, completion)"),
        ([("a",)], "example 0 is ('a',); make it"),
        ([5], "example 0 is 5; make it"),
        ([("a", 1)], "example 0 has completions that are no texts: 1"),
        ([("a", "b"), ("a", [1])], "example 1 has completions that are no texts: 1"),
        ([("a", [])], "example 0 has no completion"),
        ([(1, "a")], "example 0: 1 is a int, where a text or a list of messages was expected"),
        ([(None, "a")], "example 0: None is a NoneType, where a text"),
        ([([], "a")], "example 0: the conversation is empty"),
        ([({"q": "x"}, "a")], "example 0: {'q': 'x'} is a mapping, where a text or a conversation"),
        ([([{"role": "usr", "content": "x"}], "a")], "is no message; one has a role (system, user or assistant)"),
        ([([{"content": "x"}], "a")], "is no message; one has a role"),
        ([{"question": "a", "answer": "b"}], "example 0 has the keys question, answer; make it"),
        ([{"chosen": "a", "rejected": "b"}], "example 0 has no prompt"),
        ([{"prompt": "a", "completion": "b", "label": False}], "example 0 has a label"),
        ([{"prompt": "a", "completions": "bc"}], "example 0 has completions that are no list: 'bc'"),
        ([{"prompt": "a", "completion": ASKED}], "is not one message of the assistant's"),
        ([("a", "b\ud800")], "example 0: half of a surrogate pair"),
        ([("\ud800", "b")], "example 0: half of a surrogate pair"),
    ],
)
def test_what_is_in_no_form_is_refused_with_its_place(given: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        as_examples(given)


def test_a_mapping_is_no_prompt() -> None:
    with pytest.raises(ConfigError, match=r"prompt: .* is a mapping, where a text or a conversation"):
        as_messages({"role": "user", "content": "A bus."})
