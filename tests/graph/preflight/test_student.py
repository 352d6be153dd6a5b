from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.task import load_task
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.core.records import Example, Split
from openmic.graph.context.plugs import Plugs
from openmic.graph.preflight.objects import check_engine
from openmic.graph.preflight.student import check_student
from openmic.training.engines import continuous_needs
from openmic.training.engines.tiny_student import causal_tokenizer, llama, save
from openmic.training.student.student import load_student

from ...training.engines.student_server import StudentServer
from ...training.student import templates

SHORT, LONG = "The bus was late.", "The bus was late again, " * 60


@pytest.fixture
def model(tiny_tokenizer: Any, tmp_path: Path) -> Path:
    """A student with room for some 500 tokens."""
    return save(llama(tiny_tokenizer, max_position_embeddings=512), tiny_tokenizer, tmp_path / "student")


def notes(model: Path, *texts: str, **settings: Any) -> list[str]:
    values: dict[str, Any] = {"inputs": {"path": "x.txt"}, "student": {"model": str(model)}}
    for key, given in settings.items():
        values[key] = values.get(key, {}) | given
    examples = [Example(str(place), text, Split.TRAIN) for place, text in enumerate(texts)]
    return check_student(RunConfig.model_validate(values), load_task("humor"), examples)


def test_inputs_that_fit_are_no_matter(model: Path) -> None:
    assert notes(model, SHORT, SHORT * 2, training={"max_length": 500}) == []


def test_inputs_that_are_too_long_are_counted(model: Path) -> None:
    texts = SHORT, LONG, LONG + "!", *(SHORT + str(n) for n in range(40))
    found = notes(model, *texts, student={"sampling": {"max_tokens": 48}})
    assert found[0] == (
        "2 of 43 inputs are too long for the student: their prompts and student.sampling.max_tokens=48 are more than "
        "512 (max_position_embeddings of its config.json)"
    )
    assert any("an output are more than training.max_length=512" in line for line in found)
    assert any("an output are more than 512 (max_position" in line for line in notes(model, *texts))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"student": {"sampling": {"max_tokens": 500}}},
            "student.sampling.max_tokens=500 that is more than 512 (max_p",
        ),
        ({"evaluation": {"sampling": {"max_tokens": 500}}}, "evaluation.sampling.max_tokens=500 that is more than 51"),
        ({"imitation": {"max_length": 20}}, "an output that is more than imitation.max_length=20"),
        ({"training": {"max_length": 20}}, "an output that is more than training.max_length=20"),
        (
            {"student": {"engine": "continuous", "continuous": {"cache_tokens": 256}, "sampling": {"max_tokens": 240}}},
            "student.sampling.max_tokens=240 that is more than 256 (student.continuous.cache_tokens)",
        ),
        (
            {"student": {"engine": "slots", "slots": {"max_length": 128}, "sampling": {"max_tokens": 120}}},
            "student.sampling.max_tokens=120 that is more than 128 (student.slots.max_length)",
        ),
    ],
)
def test_no_room_for_any_input_is_refused(model: Path, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match="the student has no room: the prompt of its shortest input has") as caught:
        notes(model, SHORT, LONG, **settings)
    assert named in str(caught.value)


def test_who_is_given_another_engine_than_could_be_expected_is_told_why(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuous_needs, "version", lambda _: "6.0.1")
    student = {"device": "cpu"}
    assert notes(model, SHORT, student=student) == [
        "student.engine=auto is static, since continuous was tested with transformers 5.23, 5.24, not 6.0.1"
    ]
    assert notes(model, SHORT, student=student | {"engine": "static"}) == []


def test_a_template_that_refuses_a_system_message_is_no_matter(model: Path) -> None:
    (model / "chat_template.jinja").write_text(templates.GEMMA)
    assert notes(model, SHORT) == []


def test_tokens_are_counted_with_the_template_as_it_is_set(tmp_path: Path) -> None:
    tokenizer = causal_tokenizer()
    tokenizer.chat_template = templates.QWEN3 + "{% if long %}{{ 'so it goes ' * 500 }}{% endif %}"
    folder = save(llama(tokenizer, max_position_embeddings=512), tokenizer, tmp_path / "thinks")
    assert notes(folder, SHORT) == []
    with pytest.raises(ConfigError, match="has no room"):
        notes(folder, SHORT, student={"chat_template_kwargs": {"long": True}})


def test_the_students_server_is_tried_where_adapters_will_lie(tiny_causal: Path, tmp_path: Path) -> None:
    home = tmp_path / "not" / "there"
    with StudentServer(load_student(str(tiny_causal), device="cpu")) as server:
        endpoint = {"base_url": server.base_url, "model": "tiny"}
        student = {"model": str(tiny_causal), "engine": "endpoint", "endpoint": endpoint}
        config = RunConfig.model_validate({"inputs": {"path": "x.txt"}, "home": str(home), "student": student})
        check_engine(config, Plugs())
        assert [path for path, _ in server.calls] == [
            "/v1/completions",
            "/v1/load_lora_adapter",
            "/v1/completions",
            "/v1/unload_lora_adapter",
        ]
        assert server.called("/v1/load_lora_adapter")[0]["lora_path"].startswith(str(home))
        assert not home.parent.exists()
        server.takes_adapters = False
        with pytest.raises(ConfigError, match="takes no adapter at run time"):
            check_engine(config, Plugs())
        check_engine(config, Plugs(), ask=False)
