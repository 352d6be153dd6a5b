"""YAML is read as it stands there, and what nobody means by it is refused with its lines."""

from itertools import pairwise

import pytest

from openmic.core.files.yaml_text import BadYAMLError, parse_yaml


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "line 1 and line 3: the key 'a' stands there twice; leave out one of the two"),
        ("a: {b: 1, b: 2}", "line 1: the key 'b' stands there twice"),
        ("- x: 1\n  y: 1\n  x: 1", "line 1 and line 3: the key 'x'"),
        ("1: a\n'1': b", "line 1 and line 2: the key '1'"),
        ("'': 1\n'': 2", "line 1 and line 2: the key ''"),
        ("😀: 1\n😀: 2", "line 1 and line 2: the key '😀'"),
        ("a: &x\n  b: *x", "line 2: the anchor 'x' holds itself; write out what is meant"),
        ("a: &x [1, *x]", "line 1: the anchor 'x' holds itself"),
        ("a: &x {b: &y [*x]}", "line 1: the anchor 'x' holds itself"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{n}: &{n} [{', '.join([f'*{m}'] * 9)}]\n" for m, n in pairwise("abcdefgh")),
            "line 6: its anchors stand for more than 100,000 values; write out what is meant",
        ),
        ("a: *x", "line 1, column 4: not valid YAML: found undefined alias"),
        ("a: 2020-13-45", "not valid YAML: month must be in 1..12"),
        ("a: [", "line 1, column 5: not valid YAML"),
        ("[" * 3000, "nested too deep"),
        ("? [a]\n: 1", "found unhashable key"),
        ("a: \x01", "not valid YAML: unacceptable character"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_what_cannot_be_meant(text: str, told: str) -> None:
    with pytest.raises(BadYAMLError) as refused:
        parse_yaml(text)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\nd: *x", {"a": {"b": 1}, "c": {"b": 2}, "d": {"b": 1}}),
        ("a: {b: 1}\nc: {b: 1}", {"a": {"b": 1}, "c": {"b": 1}}),
        ("- &x 1\n- *x", [1, 1]),
    ],
)
def test_what_can(text: str, value: object) -> None:
    assert parse_yaml(text) == value
