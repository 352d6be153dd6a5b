"""What providers say of batches is read whatever its types are: nothing of it raises but that it is no batch."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from openmic.agents.endpoints.batches import BatchSeen, read_line
from openmic.agents.endpoints.body import ErrorInReplyError
from openmic.agents.endpoints.failures import one_line

BATCH: dict[str, Any] = {
    "id": "batch_1",
    "object": "batch",
    "status": "in_progress",
    "input_file_id": "file-1",
    "output_file_id": "file-2",
    "error_file_id": "file-3",
    "created_at": 1_700_000_000,
    "request_counts": {"total": 7, "completed": 3, "failed": 0},
    "errors": {"object": "list", "data": [{"code": "x", "message": "Too many lines."}]},
}
LINE: dict[str, Any] = {
    "id": "r-1",
    "custom_id": "key",
    "response": {"status_code": 200, "request_id": "x", "body": {"choices": []}},
    "error": None,
}
LONGEST = len(one_line("x" * 1000))
DEEP: Any = "deep"
for _ in range(100):
    DEEP = {"error": [DEEP]}
ODD: Mapping[str, Any] = {
    "null": None,
    "no words": "",
    "words": "words",
    "half of a pair": "\ud800",
    "many words": "x" * 1_000_000,
    "a number": 7,
    "a negative number": -1,
    "a fraction": 1.5,
    "a huge number": 10**400,
    "no number": float("nan"),
    "endless": float("inf"),
    "true": True,
    "no list": [],
    "a list": ["x", None, 7, {"message": ["y"]}],
    "nothing": {},
    "an object": {"data": {"message": 7}, "completed": "3", "code": {}, "message": None},
    "lists in it": {"data": [[], None, {"message": {"message": "z"}}], "completed": [], "error": {"code": []}},
    "deep": DEEP,
}


def _fields(of: Mapping[str, Any], within: str = "") -> list[str]:
    """All fields, at whatever depth, as `a.b.c`."""
    found = list[str]()
    for name, value in of.items():
        found += [within + name, *(_fields(value, f"{within}{name}.") if isinstance(value, dict) else ())]
    return found


def _with(whole: Mapping[str, Any], field: str, value: Any) -> dict[str, Any]:
    name, _, rest = field.partition(".")
    return {**whole, name: _with(whole[name], rest, value) if rest else value}


@pytest.mark.parametrize("field", [field for field in _fields(BATCH) if field != "id"])
def test_a_batch_is_read_whatever_one_of_its_fields_holds(field: str) -> None:
    plain, touched = BatchSeen.of(BATCH), field.partition(".")[0]
    attributes = {"status": "status", "input_file_id": "of_file", "request_counts": "done", "errors": "wrong"}
    for odd in ODD.values():
        seen = BatchSeen.of(_with(BATCH, field, odd))
        f"{seen.status}{seen.wrong}{seen.of_file}{seen.output_file}{seen.error_file}".encode()  # it can be shown
        assert max(len(seen.wrong), len(seen.status)) <= LONGEST
        assert seen.done is None or f"{seen.done:,}"
        for name, attribute in attributes.items():
            if name != touched:
                assert getattr(seen, attribute) == getattr(plain, attribute)


@pytest.mark.parametrize("field", [field for field in BATCH if field != "id"])
def test_a_batch_is_read_though_one_of_its_fields_is_missing(field: str) -> None:
    seen = BatchSeen.of({name: value for name, value in BATCH.items() if name != field})
    assert seen.id == "batch_1"


@pytest.mark.parametrize("odd", [odd for odd in ODD.values() if odd not in ("words", "x" * 1_000_000, "\ud800")])
def test_what_has_no_id_is_no_batch(odd: Any) -> None:
    told = {**BATCH, "id": odd}
    if isinstance(odd, int) and not isinstance(odd, bool) and abs(odd) < 2**63:
        assert BatchSeen.of(told).id == str(odd)
        return
    with pytest.raises(ErrorInReplyError, match="no batch"):
        BatchSeen.of(told)
    with pytest.raises(ErrorInReplyError, match="no batch"):
        BatchSeen.of(odd)


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        (BATCH["errors"], "Too many lines."),
        ({"data": [{"message": "One."}, {"message": "One."}, {"message": "Two."}]}, "One.; Two."),
        ([{"message": "Bare list."}], "Bare list."),
        ({"message": "No list."}, "No list."),
        ("Mere words.", "Mere words."),
        (7, "7"),
        ({"data": [{"code": "queue_full"}]}, "{'code': 'queue_full'}"),
        (None, ""),
        ([], ""),
        ({"object": "list", "data": []}, ""),
    ],
)
def test_what_is_wrong_with_a_batch_is_told_wherever_it_stands(errors: Any, told: str) -> None:
    assert BatchSeen.of({**BATCH, "errors": errors}).wrong == told


@pytest.mark.parametrize("field", _fields(LINE))
def test_a_line_is_read_whatever_one_of_its_fields_holds(field: str) -> None:
    for odd in ODD.values():
        read = read_line(json.dumps(_with(LINE, field, odd)).encode())
        if field == "custom_id" and not isinstance(odd, str):
            assert read is None
            continue
        assert read is not None
        key, answered = read
        assert key == "key" or field == "custom_id"
        told = field not in {"response", "response.status_code"} and (field != "response.body" or isinstance(odd, dict))
        assert told == (answered.body is not None)
        assert answered.asked
        f"{key}{answered.why}".encode()  # it can be shown
        assert len(answered.why) <= LONGEST


@pytest.mark.parametrize("line", [b"", b"words", b"[]", b"7", b"\xff\xfe", b'{"custom_id": "a"', b"[" * 100_000])
def test_what_is_no_line_answers_nothing(line: bytes) -> None:
    assert read_line(line) is None


def test_a_line_as_others_write_it_is_an_answer() -> None:
    told = _with(LINE, "response.status_code", "200")
    read = read_line(b"\xef\xbb\xbf" + json.dumps(told).encode())
    assert read is not None
    assert read[1].body == {"choices": []}
