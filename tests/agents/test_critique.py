import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.agents.critique import CRITIQUE_SCHEMA, CritiqueText, parse_critique
from openmic.agents.simulated.faults import break_json

from ..properties import steady

PARTS = {"works": "It is short.", "missing": "A joke.", "suggestion": 'Let the {bus} say "no".'}
JSON = json.dumps(PARTS)
READ = CritiqueText(**PARTS, parsed=True)


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f"\n\n  {JSON}\n",
        json.dumps(PARTS, indent=2),
        f"```json\n{JSON}\n```",
        f"```\n{json.dumps(PARTS, indent=4)}\n```\nI hope this helps!",
        f"Sure! Here is my critique:\n\n{JSON}\n\nI hope this helps.",
        json.dumps({"score": 3, **PARTS}),
    ],
    ids=["bare", "spaced", "indented", "fenced", "fenced and praised", "in prose", "with more keys"],
)
def test_json_is_found_in_whatever_it_is_wrapped_in(text: str) -> None:
    assert parse_critique(text) == READ


def test_a_suggestion_is_enough() -> None:
    assert parse_critique('{"suggestion": " Be brief. "}') == CritiqueText("", "", "Be brief.", parsed=True)
    assert parse_critique('{"works": null, "missing": ["a"], "suggestion": "b"}') == CritiqueText(
        "", "['a']", "b", parsed=True
    )


@pytest.mark.parametrize(
    "text",
    [
        JSON[:60],
        repr(PARTS),
        '{"works": "a", "missing": "b"}',
        '{"suggestion": ["a", "b"]}',
        '{"suggestion": null}',
        '["works", "missing"]',
        "Works: it is short.\nMissing:  a joke.\nSuggestion: let the bus speak.",
        "{ not json at all }",
        '{"a":' * 100_000 + "}",
        '{"suggestion": ' + "1" * 5000 + "}",
    ],
    ids=[
        "cut",
        "single quotes",
        "no suggestion",
        "a list",
        "null",
        "array",
        "plain",
        "braces",
        "deep",
        "a large number",
    ],
)
def test_what_is_no_critique_in_json_is_all_suggestion(text: str) -> None:
    assert parse_critique(text) == CritiqueText("", "", " ".join(text.split()), parsed=False)


def test_nothing_is_nothing() -> None:
    assert parse_critique(" \n") == CritiqueText("", "", "", parsed=False)


def test_careless_models_are_read_as_far_as_can_be() -> None:
    read = [parse_critique(break_json(PARTS, number)) for number in range(40)]
    assert {critique.parsed for critique in read} == {True, False}
    assert all(critique == READ for critique in read if critique.parsed)
    assert all(critique.suggestion for critique in read)


@steady
@given(st.text(st.sampled_from('{}[]":,\\ \n`suggestion0é\ud83d')))
def test_no_text_is_too_odd(text: str) -> None:
    assert parse_critique(text).parsed in {True, False}


PART = st.text(st.sampled_from('{}":\\`\n abcé')).map(str.strip)


@steady
@given(st.fixed_dictionaries({"works": PART, "missing": PART, "suggestion": PART}))
def test_what_was_written_by_the_schema_is_read_back(parts: dict[str, str]) -> None:
    assert set(parts) == set(CRITIQUE_SCHEMA["required"])
    assert parse_critique(json.dumps(parts)) == CritiqueText(**parts, parsed=True)
