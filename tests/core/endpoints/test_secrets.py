import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from openmic.core.endpoints.secrets import beginning, hidden, keep_secret, without, without_all

KEY = 'sk-planted/"key"+1 é'


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        KEY * 2,
        quote(KEY, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(KEY, safe="")),
        json.dumps(KEY)[1:-1],
        json.dumps(KEY, ensure_ascii=False)[1:-1].replace("/", "\\/"),
        html.escape(KEY),
        b64encode(KEY.encode()).decode(),
        urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
    ],
)
def test_a_secret_is_hidden_however_it_is_spelled(spelled: str) -> None:
    assert set(without(f"<{spelled}>", {KEY})) <= set("<…=>")


@pytest.mark.parametrize("before", ["Bearer ", "me:", "you:", "them:"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_a_secret_among_what_base64_spells_is_hidden(before: str, after: str) -> None:
    key = "sk-planted-0123456789"
    left = without(b64encode(f"{before}{key}{after}".encode()).decode(), {key}).replace("…", "")
    assert len(left) <= len(b64encode(f"{before}{after}".encode())) + 4


def test_a_secret_that_holds_another_is_hidden_as_a_whole() -> None:
    assert without("sk-abcdef123 sk-abcdef", {"sk-abcdef", "sk-abcdef123"}) == "… …"


def test_all_texts_of_a_value_are_looked_at() -> None:
    value = {"a secret-1": ["secret-1", {"b": ("x secret-1 y", 3, None, True)}]}
    assert without_all(value, {"secret-1"}) == {"a …": ["…", {"b": ["x … y", 3, None, True]}]}


@pytest.mark.parametrize("word", ["key", "ollama", "Openmic"])
def test_what_is_no_secret_is_left(word: str) -> None:
    assert without(f"say {word}", {word}) == f"say {word}"


def test_a_secret_that_would_be_cut_is_hidden_first() -> None:
    keep_secret("cut-in-this-test-1")
    assert [beginning("it is cut-in-this-test-1", most) for most in (3, 7, 22, 99)] == [
        "it ",
        "it is …",
        *2 * ["it is …"],
    ]


def test_what_is_kept_secret_is_hidden_from_then_on() -> None:
    keep_secret("only-in-this-test-1")
    assert hidden("it is only-in-this-test-1") == "it is …"
