"""The benchmarks of engines and of what is around them do what they say; their figures mean nothing here."""

from pathlib import Path

import pytest

from .test_pool_benchmarks import quick


def test_engines_answer_the_same_requests_and_are_set_against_one_roofline(tiny_causal: Path) -> None:
    result = quick("engines", "--model", str(tiny_causal), "--threads", "1")
    parts = result["parts"]
    rates = parts["tokens_per_second"]
    assert set(rates) == {"transformers' static", "continuous", "static"}
    for name, rate in rates.items():
        assert rate == pytest.approx(parts["useful_tokens"] / parts["seconds"][name])
        share = rate * parts["gflop_per_token"] / parts["roofline_gflops"]
        assert parts["share_of_roofline"][name] == pytest.approx(share)
    assert result["value"] == pytest.approx(rates["continuous"] / rates["transformers' static"])
    assert result["met"] == (result["value"] >= 1.6)


@pytest.mark.usefixtures("ray_running")
def test_what_dialogues_asked_is_asked_again_without_them(tiny_causal: Path) -> None:
    result = quick("pool", "--model", str(tiny_causal), "--threads", "1", "--engine", "static")
    parts = result["parts"]
    assert parts["engine"] == "static"
    assert parts["dialogues"] == 4
    assert parts["requests"] >= 4 * 3
    assert parts["tokens"] >= parts["requests"]
    assert parts["mean_batch"] >= 1
    rates = parts["tokens_per_second"]
    assert result["value"] == pytest.approx(rates["pool"] / rates["direct"])
    assert min(rates.values()) > 0
