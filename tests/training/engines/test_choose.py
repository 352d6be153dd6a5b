from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import StudentSettings
from openmic.core.errors import ConfigError
from openmic.training.engines.choose import engine_name


def named(folder: Path, **changes: Any) -> str:
    return engine_name(StudentSettings.model_validate({"model": str(folder)} | changes))


def test_auto_is_continuous_for_causal_students_on_a_cpu_and_static_for_all_others(
    tiny_causal: Path, tiny_seq2seq: Path, tmp_path: Path
) -> None:
    assert named(tiny_causal, device="cpu") == "continuous"
    assert named(tiny_causal, device="cuda") == "static"
    assert named(tiny_causal, device="cpu", sampling={"num_beams": 2}) == "static"
    assert named(tiny_seq2seq, device="cpu") == "static"
    (tmp_path / "config.json").write_text('{"model_type": "bloom", "architectures": ["BloomForCausalLM"]}')
    assert named(tmp_path, device="cpu") == "static"


def test_what_is_named_is_taken_or_refused(tiny_causal: Path, tiny_seq2seq: Path) -> None:
    endpoint = {"base_url": "http://localhost:1/v1"}
    assert named(tiny_causal, engine="continuous", device="cpu") == "continuous"
    assert named(tiny_seq2seq, engine="static") == "static"
    assert named(tiny_causal, engine="endpoint", endpoint=endpoint) == "endpoint"
    with pytest.raises(ConfigError, match=r"causal students only, .* is seq2seq; set student.engine to static"):
        named(tiny_seq2seq, engine="continuous")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": "endpoint"}, "needs endpoint.base_url"),
        ({"engine": "continuous", "sampling": {"num_beams": 2}}, "has no beam search"),
        ({"engine": "vllm"}, "'auto', 'static', 'continuous' or 'endpoint'"),
    ],
)
def test_settings_that_no_engine_can_mean_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        StudentSettings.model_validate(changes)
