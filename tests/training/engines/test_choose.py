import os
from pathlib import Path
from typing import Any

import pytest

from openmic.core.errors import ConfigError, StudentChangedError
from openmic.core.student_settings import StudentSettings
from openmic.training.engines import continuous_needs
from openmic.training.engines.choose import choose_engine, engine_name, make_engine
from openmic.training.student.fingerprint import KnownFiles, student_files

from ..pool.own_engine import Echo


def named(folder: Path, **changes: Any) -> str:
    return engine_name(StudentSettings.model_validate({"model": str(folder)} | changes))


def test_auto_is_the_fastest_engine_for_the_students_it_is_right_with_and_static_for_all_others(
    tiny_causal: Path, tiny_seq2seq: Path, tmp_path: Path
) -> None:
    assert named(tiny_causal, device="cpu") == "continuous"
    assert named(tiny_causal, device="cuda") == named(tiny_causal, device="cuda:1") == "slots"
    assert named(tiny_causal, device="mps") == "static"
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
    with pytest.raises(ConfigError, match=r"student.engine=slots generates with causal students only"):
        named(tiny_seq2seq, engine="slots")


def test_what_continuous_needs_of_transformers_is_all_there() -> None:
    assert continuous_needs.lacking() == [], "what `continuous` hooks into has another name in this transformers"
    assert not continuous_needs.untested(), "run the conformance suite with this transformers, then add it to TESTED"


def test_an_architecture_that_does_not_go_with_a_transformers(
    tiny_causal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuous_needs, "version", lambda _: "5.24.1")
    settings = {"model": str(tiny_causal), "device": "cpu"}
    assert choose_engine(StudentSettings.model_validate(settings)) == ("continuous", "")
    monkeypatch.setitem(continuous_needs._NOT_WITH, "5.24", frozenset({"LlamaForCausalLM"}))
    name, note = choose_engine(StudentSettings.model_validate(settings))
    assert (name, note) == (
        "static",
        "student.engine=auto is static, since continuous does not go with LlamaForCausalLM in transformers 5.24.1",
    )
    with pytest.raises(ConfigError, match=r"continuous does not go with LlamaForCausalLM in transformers 5\.24\.1"):
        named(tiny_causal, engine="continuous", device="cpu")


def test_with_a_transformers_that_continuous_was_not_tested_with(
    tiny_causal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuous_needs, "version", lambda _: "5.230.0")
    settings = StudentSettings.model_validate({"model": str(tiny_causal), "device": "cpu"})
    name, note = choose_engine(settings)
    assert (name, note.count("\n")) == ("static", 0)
    assert "tested with transformers 5.23, 5.24, not 5.230.0" in note
    assert named(tiny_causal, engine="continuous", device="cpu") == "continuous", "what it needs is there"
    monkeypatch.setitem(continuous_needs.NEEDED, "transformers.utils", ("no_such_hook",))
    with pytest.raises(ConfigError, match=r"needs transformers.utils.no_such_hook, .*5.230.0 does not have; install"):
        named(tiny_causal, engine="continuous", device="cpu")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": "endpoint"}, "needs endpoint.base_url"),
        ({"engine": "continuous", "sampling": {"num_beams": 2}}, "has no beam search"),
        ({"engine": "sglang"}, "'sglang' is none of auto, static, continuous, slots, vllm, endpoint; name your own as"),
        ({"engine": "my engine:Mine"}, "neither a name that ships nor module:attribute"),
        ({"engine_kwargs": {"mark": "?"}}, "engine_kwargs are for an engine of your own, not for auto"),
    ],
)
def test_settings_that_no_engine_can_mean_are_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        StudentSettings.model_validate(changes)


# An engine of one's own

OWN = "tests.training.pool.own_engine"


def own(name: str, **kwargs: Any) -> StudentSettings:
    sampling = {"num_beams": 2}  # which only the engine itself can know whether it searches
    return StudentSettings.model_validate({"engine": f"{OWN}:{name}", "engine_kwargs": kwargs, "sampling": sampling})


def test_one_of_ones_own_is_imported_and_made_with_its_kwargs() -> None:
    engine = make_engine(own("Echo", mark="?"), threads=3)
    assert isinstance(engine, Echo)
    assert (engine.mark, engine.threads) == ("?", 3)
    assert engine.worker.endswith(f"/pid-{os.getpid()}")


@pytest.mark.parametrize(
    ("name", "kwargs", "why"),
    [
        ("Nothing", {}, r"student.engine: module .*own_engine has no 'Nothing'; it has .*Echo"),
        ("READY", {}, r"student.engine: .*:READY is a Echo, which makes no engine; every student's process makes"),
        (
            "Echo",
            {"tone": 1},
            r"cannot be called as \(settings, threads=…, worker=…, tone=…\): .*'tone'.*engine_kwargs",
        ),
        ("Half", {}, "student.engine: what .*:Half makes is no engine: it has no generate, load, unload"),
        ("half", {}, "what .*:half makes is no engine: it has no generate, load, unload, loaded, stats"),
        ("broken", {}, "student.engine: .*:broken could not be made: OSError: no memory"),
    ],
)
def test_what_is_none_is_refused_in_one_line(name: str, kwargs: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        make_engine(own(name, **kwargs), threads=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", ["auto", "static", "continuous", "slots", "endpoint", f"{Echo.__module__}:Echo"])
def test_no_engine_is_made_of_weights_that_were_changed(engine: str, tiny_causal: Path) -> None:
    values = {
        "model": str(tiny_causal),
        "engine": engine,
        "device": "cpu",
        "endpoint": {"base_url": "http://[::1]:9/v1"},
    }
    settings = StudentSettings.model_validate(values)
    known = KnownFiles("RUN1", student_files(settings) | {"config.json": "another"})
    with pytest.raises(StudentChangedError, match=r"not those that run RUN1 began with: config.json is another"):
        make_engine(settings, threads=1, known=known)


def test_weights_that_change_while_an_engine_is_made_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    settings = StudentSettings(model=str(tmp_path), engine="mine:Loads")

    def loads(settings: StudentSettings, **rest: Any) -> Echo:
        (tmp_path / "model.safetensors").write_bytes(b"two")
        return Echo(settings, **rest)

    with pytest.raises(StudentChangedError, match=r"model.safetensors is another"):
        make_engine(settings, threads=1, engine=loads, known=KnownFiles("RUN1", student_files(settings)))
