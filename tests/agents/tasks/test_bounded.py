"""Templates that would not end, or not in what a prompt may take: each ends with one error, and soon."""

import time
from typing import Any

import pytest
from jinja2 import DictLoader

from openmic.agents.tasks.bounded import BoundedEnvironment, TooMuchError, render

TEN = "{% set x = 'aaaaaaaaaa' %}"
HUGE = [
    "{% for i in range(10**9) %}x{% endfor %}",
    "{{ 'x' * 10**9 }}",
    "{{ 'x' * 999999999 }}",
    "{{ [1] * 10**7 }}",
    "{{ 10**10**10 }}",
    "{% set x = 3 %}" + "{% set x = x * x %}" * 40,
    "{{ '%1000000000d' % 1 }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ '%*d' % (10**9, 1) }}",
    "{{ 'a'|center(10**9) }}",
    "{{ 'a'.center(1000000000) }}",
    "{{ 'a'.zfill(1000000000) }}",
    TEN + "{% set x = x ~ x %}" * 40,
    TEN + "{% set x = x + x %}" * 40,
    TEN + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40,
    "{% set a = 'a' * 100000 %}{{ a|replace('a', a) }}",
    "{% set a = 'a' * 100000 %}{{ a.replace('a', a) }}",
    "{% set a = '\\n' * 100000 %}{{ a|indent(100000) }}",
    "{% set a = 'x' * 1000000 %}{{ range(100000)|map('string')|join(a) }}",
    "{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
]


def said(template: str, **values: Any) -> str:
    environment = BoundedEnvironment(loader=DictLoader({"prompt": template}))
    return render(environment.get_template("prompt"), values)


@pytest.mark.parametrize("text", HUGE)
def test_nothing_becomes_too_large(text: str) -> None:
    began = time.process_time()
    with pytest.raises(TooMuchError):
        said(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("inner", ["", "x", "{{ range(9999)|sum }}"])
def test_loops_end(monkeypatch: pytest.MonkeyPatch, inner: str) -> None:
    monkeypatch.setattr("openmic.agents.tasks.bounded.CPU_SECONDS", 0.2)
    monkeypatch.setattr("openmic.agents.tasks.bounded.MOST", 10**9)
    with pytest.raises(TooMuchError, match=r"longer than 0\.2 s"):
        said("{% for i in range(99999) %}{% for j in range(99999) %}" + inner + "{% endfor %}{% endfor %}")


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(99999) if range(99999)|sum == 0 %}{% endfor %}",
        "{% macro twice(n) %}{% if n %}{{ twice(n - 1) }}{{ twice(n - 1) }}{% endif %}{% endmacro %}{{ twice(60) }}",
        "{% set n = n|default(60) - 1 %}{% if n %}{% include 'prompt' %}{% include 'prompt' %}{% endif %}",
        "{% for i in [0] recursive %}{% if loop.depth < 60 %}{{ loop([0]) }}{{ loop([0]) }}{% endif %}{% endfor %}",
        "{{ range(99999)|map('string')|select('in', range(99999)|map('string')|list)|list|length }}",
    ],
)
def test_what_goes_round_without_a_loop_ends(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("openmic.agents.tasks.bounded.CPU_SECONDS", 0.2)
    with pytest.raises(TooMuchError, match=r"longer than 0\.2 s"):
        said(text)


def test_time_is_counted_for_each_rendering_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmic.agents.tasks.bounded.CPU_SECONDS", 0.1)
    with pytest.raises(TooMuchError):
        said("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")
    environment = BoundedEnvironment()
    assert environment.call_filter("upper", "a") == "A"
    assert said("{% for i in range(3) %}{{ i }}{% endfor %}") == "012"


def test_what_a_prompt_does_is_done() -> None:
    text = (
        "{{ name|upper }} {{ 3 * 4 }} {{ 'x'|center(5) }}| {{ [1, 2]|join(', ') }} {{ '%s-%d' % ('a', 3) }} {{ n }} "
        "{{ '{:.2f}'.format(0.5) }} {{ name.title() }} {{ missing|default('none') }} {{ 'a' ~ n }}"
        "{% for one in many if one %}{{ loop.index }}{{ one }}{% endfor %}{% set x %}{{ name }}{% endset %}{{ x }}"
    )
    assert said(text, name="ann", n=8_000_000_000, many=["p", "", "q"]) == (
        "ANN 12   x  | 1, 2 a-3 8000000000 0.50 Ann none a80000000001p2qann"
    )


def test_a_long_input_is_no_long_loop() -> None:
    text = "ab. " * 20_000
    assert len(said("{{ text }}{% for line in text.split('.') %}{{ line|trim }}{% endfor %}", text=text)) > 80_000
