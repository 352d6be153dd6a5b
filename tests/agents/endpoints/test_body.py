import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmic.agents.endpoints.body import DEEPEST, ErrorInReplyError, read_body, read_usage, storable

OK: dict[str, Any] = {"choices": [{"message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]}
FEW = settings(max_examples=60, deadline=None)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def read(body: Any) -> tuple[dict[str, Any], dict[str, int]]:
    found, left_out = read_body(body if isinstance(body, bytes) else json.dumps(body).encode())
    return found, dict(+left_out)


def said(body: Any) -> Any:
    return read(body)[0]["choices"][0]["message"]["content"]


def with_choice(**choice: Any) -> dict[str, Any]:
    return {"choices": [{**OK["choices"][0], **choice}]}


@FEW
@given(*[JSON] * 6)
def test_a_text_is_kept_whatever_stands_around_it(
    usage: Any, model: Any, reason: Any, logprobs: Any, role: Any, x: Any
) -> None:
    choice = {"index": x, "message": {"content": "fine", "role": role, "x": x}, "logprobs": logprobs}
    finish = {} if reason == "error" else {"finish_reason": reason}
    found, _ = read({"id": x, "usage": usage, "model": model, "created": x, "choices": [{**choice, **finish}]})
    assert found["choices"][0]["message"]["content"] == "fine"
    json.dumps(found, allow_nan=False).encode()
    assert "\\u0000" not in json.dumps(found)


@FEW
@given(JSON)
def test_what_is_kept_can_be_stored(value: Any) -> None:
    text = json.dumps(storable(value), allow_nan=False, ensure_ascii=False).encode().decode()
    assert "\0" not in text
    assert "\\u0000" not in text


@pytest.mark.parametrize(
    "body",
    [
        {"choices": [{"text": "fine", "finish_reason": "stop"}]},
        {"choices": [{"message": "fine"}]},
        {"choices": [{"message": {"content": None}, "text": "fine"}]},
        {"choices": [{"delta": {"content": "fine"}}]},
        {"choices": {"message": {"content": "fine"}}},
        {**OK, "error": None},
        {**OK, "error": {"message": "a warning"}},
        b"\xef\xbb\xbf\n\n  " + json.dumps(OK).encode() + b"\n<!-- served by a proxy -->",
        b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b", " + json.dumps(OK).encode()[1:],
        b'{"deep": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b", " + json.dumps(OK).encode()[1:],
        b'{"usage": {"prompt_tokens": ' + b"9" * 5_000 + b"}, " + json.dumps(OK).encode()[1:],
        b'{"usage": {"prompt_tokens": NaN}, ' + json.dumps(OK).encode()[1:],
        b": PROCESSING\n\n: PROCESSING\n\n" + json.dumps(OK).encode(),
        b")]}',\n" + json.dumps(OK).encode(),
        b'{"note": "a\nb", ' + json.dumps(OK).encode()[1:],
        [OK],
        {"success": True, "result": OK},
        {"code": 0, "msg": "ok", "data": OK},
        {"choices": [{"message": {"content": "fine"}, "finish_reason": "insufficient_system_resource"}]},
    ],
    ids=lambda body: str(body)[:60],
)
def test_a_reply_is_found_wherever_a_server_puts_it(body: Any) -> None:
    assert said(body) == "fine"


def piece_of(text: str, thought: str, logprob: float) -> dict[str, Any]:
    token = {"token": text, "logprob": logprob}
    delta = {"content": text, "reasoning_content": thought}
    return {"choices": [{"delta": delta, "logprobs": {"content": [token]}}]}


def test_a_stream_that_nobody_asked_for_is_put_together() -> None:
    pieces: list[dict[str, Any]] = [
        {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        piece_of("fi", "hm", -1),
        piece_of("ne", "m", -2),
        {"choices": [{"delta": {}, "finish_reason": "length"}], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
    lines = [": keep-alive", *(f"data: {json.dumps(piece)}" for piece in pieces), "data: [DONE]"]
    found, _ = read("\n\n".join(lines).encode())
    [choice] = found["choices"]
    assert (choice["message"]["content"], choice["message"]["reasoning_content"]) == ("fine", "hmm")
    assert (choice["finish_reason"], found["usage"]["prompt_tokens"], found["model"]) == ("length", 3, "m")
    assert [token["logprob"] for token in choice["logprobs"]["content"]] == [-1, -2]


def test_a_line_that_is_held_for_long_is_read_at_once() -> None:
    found, _ = read(b": held\n" * 300_000 + b'{"choices": [{"message": {"content": "fine"}}]}')
    assert found["choices"][0]["message"]["content"] == "fine"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>log in</html>", b'{"id": "c-1", "choi', [], "text", 5, None, {},
        {"choices": []}, {"choices": None}, {"choices": [{"index": 0}]}, {"choices": [{"message": None}]},
        {"error": {"message": "boo"}}, {"error": "boo"}, {"detail": "boo"}, {"object": "error", "message": "boo"},
        with_choice(finish_reason="error"), with_choice(error={"code": 502, "message": "boo"}),
        b'data: {"error": {"message": "boo"}}\n\ndata: [DONE]',
        {"choices": [{"message": {"content": ""}, "finish_reason": "network_error"}]},
    ],
    ids=lambda body: str(body)[:40],
)  # fmt: skip
def test_what_is_no_reply_is_an_error(body: Any) -> None:
    with pytest.raises(ErrorInReplyError):
        read(body)


@pytest.mark.parametrize(
    ("usage", "kept", "left_out"),
    [
        ({"prompt_tokens": 5.0, "completion_tokens": "7"}, (5, 7), 0),
        ({"prompt_tokens": -1, "completion_tokens": 2**64}, (None, None), 2),
        ({"prompt_tokens": 2**63 - 1, "completion_tokens": math.inf}, (None, None), 2),
        ({"prompt_tokens": "many", "completion_tokens": True}, (None, None), 2),
        ({"prompt_tokens": None, "completion_tokens": None}, (None, None), 0),
        ({"input_tokens": 3, "output_tokens": 4}, (3, 4), 0),
        ([1, 2], (None, None), 1),
        ("12 tokens", (None, None), 1),
    ],
)
def test_usage_is_whole_numbers_or_nothing(usage: Any, kept: tuple[int | None, ...], left_out: int) -> None:
    counted = Counter[str]()
    found = read_usage(usage, counted) or {}
    assert (found.get("prompt_tokens"), found.get("completion_tokens")) == kept
    assert counted.total() == left_out


@pytest.mark.parametrize(
    ("token", "kept", "left_out"),
    [
        ({"token": "1", "logprob": -0.5}, ("1", -0.5, []), 0),
        ({"token": "1", "logprob": None}, ("1", None, []), 1),
        ({"token": "1", "logprob": -math.inf}, ("1", None, []), 1),
        ({"token": "1", "logprob": "-0.5"}, ("1", -0.5, []), 0),
        ({"token": "1", "logprob": 0.0001}, ("1", 0.0, []), 0),
        ({"token": "1", "logprob": 0.9}, ("1", None, []), 1),
        ({"token": None, "logprob": -1, "bytes": [50]}, ("2", -1, []), 0),
        ({"token": None, "logprob": -1, "bytes": [999]}, ("", -1, []), 1),
        ({"token": 16, "logprob": -1}, ("", -1, []), 1),
        (None, ("", None, []), 1),
        ({"token": "1", "logprob": -1, "top_logprobs": None}, ("1", -1, []), 0),
        ({"token": "1", "logprob": -1, "top_logprobs": "none"}, ("1", -1, []), 1),
        ({"token": "1", "logprob": -1, "top_logprobs": {"2": -3}}, ("1", -1, [("2", -3)]), 0),
        # The text of a token that ends the reply is none.
        ({"token": "1", "logprob": -1, "top_logprobs": [{"token": "", "logprob": -2}]}, ("1", -1, [("", -2)]), 0),
        (
            {
                "token": "1",
                "logprob": -1,
                "top_logprobs": [
                    {"token": "1", "logprob": -1},
                    {"token": "2", "logprob": -math.inf},
                    {"token": None, "logprob": -2},
                    None,
                ],
            },
            ("1", -1, [("1", -1)]),
            3,
        ),
    ],
)
def test_of_log_probabilities_what_is_none_is_left_out(token: Any, kept: tuple[Any, ...], left_out: int) -> None:
    found, counted = read(with_choice(logprobs={"content": [token]}))
    [first] = found["choices"][0]["logprobs"]["content"]
    alternatives = [(other["token"], other["logprob"]) for other in first["top_logprobs"]]
    assert (first["token"], first["logprob"], alternatives) == kept
    assert sum(counted.values()) == left_out


@pytest.mark.parametrize("none", [None, [], {}, {"content": None}, {"content": [], "refusal": None}])
def test_no_log_probabilities_are_none(none: Any) -> None:
    found, left_out = read(with_choice(logprobs=none))
    assert (found["choices"][0]["logprobs"], left_out) == (None, {})


def test_log_probabilities_in_the_shape_of_old_are_read() -> None:
    old = {"tokens": ["1", "."], "token_logprobs": [-0.2], "top_logprobs": [{"1": -0.2, "2": -1.7}, None]}
    found, _ = read(with_choice(logprobs=old))
    one, dot = found["choices"][0]["logprobs"]["content"]
    assert [other["token"] for other in one["top_logprobs"]] == ["1", "2"]
    assert (dot["token"], dot["logprob"]) == (".", None)


def test_however_deep_a_body_is_nested_it_is_read() -> None:
    deep: Any = "x"
    for _ in range(20_000):
        deep = {"a": deep}
    kept = storable(deep)
    for _ in range(DEEPEST):
        kept = kept["a"]
    assert kept is None
