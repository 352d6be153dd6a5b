"""An object that was given and that nobody would ask is refused, wherever it was given."""

from typing import Any

import pytest

from openmic.core.errors import ConfigError
from openmic.graph.context.keys import plug_keys, refuse_unused

from ..conftest import config_of

SCORER = {"use": "length"}


def test_every_key_where_an_object_stands_is_known() -> None:
    config = config_of(
        task="my:task",
        cast={"teacher": {"use": "my:teacher"}, "critic": SCORER, "judge": SCORER, "jury": [SCORER, {}]},
        evaluation={"scorers": ["length"]},
        training={"objective": "my:Loss"},
        student={"engine": "my:Engine"},
    )
    keys = plug_keys(config)
    assert keys == {
        "task": "my:task",
        "cast.teacher": "my:teacher",
        "cast.critic": "length",
        "cast.jury.0": "length",
        "cast.jury.1": None,
        "cast.judge": "length",
        "evaluation.scorers.0": "length",
        "training.objective": "my:Loss",
        "student.engine": "my:Engine",
    }
    refuse_unused({key: object() for key, use in keys.items() if use}, config)


@pytest.mark.parametrize(
    ("key", "sections", "why"),
    [
        ("cast.judge", {"cast": {"judge": {"model": "gpt-4.1"}}}, "gpt-4.1 plays this role in this run"),
        ("cast.judge", {"cast": {"critic": SCORER}}, "the critic itself judges in this run"),
        ("cast.critic", {}, "sim-critic plays this role in this run"),
        ("cast.teacher", {"cast": {"teacher": {"demonstrations": "a.jsonl"}}}, "a.jsonl plays this role"),
        ("cast.jury.0", {}, "there is no such key; objects stand under task, cast.teacher, cast.critic"),
        ("training.objective", {}, "this run's objective is dpo"),
        ("student.engine", {}, "this run's engine is auto"),
        ("evaluation.scorers.1", {"evaluation": {"scorers": ["length"]}}, "this run has 1 scorers"),
        ("x.y", {}, "there is no such key"),
    ],
)
def test_what_would_never_be_asked_is_refused(key: str, sections: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: the object that was given would never be asked: .*{why}"):
        refuse_unused({key: object()}, config_of(**sections))
