import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmic.agents.critique import CRITIQUE_SCHEMA, NO_ADVICE, Critique, advice, parse_critique
from openmic.simulator.faults import break_json

from ..properties import steady
from .broken_critiques import MANNERS, Broken, broken_critiques, truncated

PARTS = {"works": "It is short.", "missing": "A joke.", "suggestion": 'Let the {bus} say "no".'}
JSON = json.dumps(PARTS)
READ = Critique(**PARTS, parsed=True)


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
    assert parse_critique('{"suggestion": " Be brief. "}') == Critique("", "", "Be brief.", parsed=True)
    assert parse_critique('{"works": null, "missing": ["a"], "suggestion": "b"}') == Critique("", "a", "b", parsed=True)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (JSON[: JSON.index("bus}") + 3], Critique("It is short.", "A joke.", "Let the {bus", parsed=True)),
        (repr(PARTS), READ),
        (JSON.replace('\\"', '"'), READ),
        (json.dumps({"critique": [PARTS]}), READ),
        ('{"suggestion": ["a", "b"]}', Critique("", "", "a b", parsed=True)),
        (
            "Works: it is short.\nMissing:  a joke.\nSuggestion: let the bus speak.",
            Critique("it is short.", "a joke.", "let the bus speak.", parsed=True),
        ),
        (
            "**What works:** it\n\n**What's missing:** “a joke”\n\n- **One concrete suggestion:** let the bus\nspeak",
            Critique("it", "“a joke”", "let the bus speak", parsed=True),
        ),
        ('{"suggestion": ' + "1" * 30 + "}", Critique("", "", "1" * 30, parsed=True)),
    ],
    ids=["cut", "single quotes", "bare quotes", "nested", "a list", "headings", "bold headings", "a number"],
)
def test_what_a_person_could_read_is_read(text: str, read: Critique) -> None:
    assert parse_critique(text) == read


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"works": "a", "missing": "b"}', Critique("a", "b", "", parsed=False)),
        ('{"works": "a", "missi', Critique("a", "", "", parsed=False)),
        ('{"suggestion": null}', Critique("", "", "", parsed=False)),
        ("Let the bus speak:\n“No.”", Critique("", "", "Let the bus speak: “No.”", parsed=False)),
        ("{ not json at all }", Critique("", "", "not json at all", parsed=False)),
        ("```\nBe brief.\n```", Critique("", "", "Be brief.", parsed=False)),
        ("{}}}", Critique("", "", "", parsed=False)),
        ("<think>It should be brief", Critique("", "", "", parsed=False)),
    ],
    ids=["no suggestion", "cut before it", "null", "prose", "braces", "a fence", "nothing but marks", "a thought"],
)
def test_what_holds_no_suggestion_in_its_place_keeps_what_it_says(text: str, read: Critique) -> None:
    assert parse_critique(text) == read


def test_the_writer_is_told_the_best_there_is() -> None:
    assert advice("a", "b", "c") == "c"
    assert advice("a", "b", "") == "b"
    assert advice("a", "", "") == "a"
    assert advice("", "", "") == NO_ADVICE


@pytest.mark.parametrize(
    "text", ['{"a":' * 100_000 + "}", "[" * 100_000, '{"suggestion": ' + "1" * 50_000, "x " * 50_000]
)
def test_a_reply_of_any_size_is_read_in_no_time(text: str) -> None:
    began = time.monotonic()
    read = parse_critique(text)
    assert time.monotonic() - began < 2
    assert len(read.suggestion) <= 20_000


def test_nothing_is_nothing() -> None:
    assert parse_critique(" \n") == Critique("", "", "", parsed=False)


def test_the_simulated_critics_broken_json_is_read() -> None:
    read = [parse_critique(break_json(PARTS, number)) for number in range(40)]
    assert all((critique.works, critique.missing) == (READ.works, READ.missing) for critique in read)
    assert {critique.suggestion for critique in read} == {READ.suggestion, ""}


@settings(steady, max_examples=600)
@given(broken_critiques())
def test_a_suggestion_that_a_person_could_read_comes_out(broken: Broken) -> None:
    read = parse_critique(broken.reply)
    assert "\n" not in read.suggestion
    if broken.suggestion is None:
        return
    wanted, found = bare(broken.suggestion), bare(read.suggestion)
    if broken.manner == "prose":
        assert found.endswith(wanted)
    else:
        assert (found, read.parsed) == (wanted, True)


def bare(text: str) -> str:
    """Without the marks at its ends, some of which may have been the JSON's."""
    return text.strip(" .,;:'\"“”")


def test_every_way_of_breaking_is_read() -> None:
    parts = {"works": "It is short.", "missing": "A joke.", "suggestion": "Let the bus say no and leave"}
    for manner, write in MANNERS.items():
        reply, suggestion = write(parts)
        assert suggestion is None or suggestion in parse_critique(reply).suggestion, manner
    whole = json.dumps(parts)
    for length in range(whole.index("Let"), len(whole)):
        broken = truncated(parts, length)
        assert parse_critique(broken.reply).suggestion == (broken.suggestion or ""), broken.reply


@steady
@given(st.text(st.sampled_from('{}[]":,\\ \n`suggestion0é\ud83d')))
def test_no_text_is_too_odd(text: str) -> None:
    assert parse_critique(text).parsed in {True, False}


PART = st.text(st.sampled_from('{}":\\`\n abcé')).map(str.strip)


@steady
@given(st.fixed_dictionaries({"works": PART, "missing": PART, "suggestion": PART.filter(bool)}))
def test_what_was_written_by_the_schema_is_read_back(parts: dict[str, str]) -> None:
    assert set(parts) == set(CRITIQUE_SCHEMA["required"])
    one_line = {name: " ".join(text.split()) for name, text in parts.items()}
    assert parse_critique(json.dumps(parts)) == Critique(**one_line, parsed=True)
