"""The simulated cast plays in the tasks that it knows, and any other is refused before anything is asked."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openmic.agents.tasks.task import load_task
from openmic.core.errors import ConfigError
from openmic.graph.context.plugs import Plugs
from openmic.graph.preflight.checks import check_cast
from openmic.graph.preflight.simulated import simulated_task_notes
from openmic.simulator import SimulatedCast, SimulatorSettings

from ..conftest import config_of

SCORER = {"use": "length"}
SUPPORT = """
name: support
student: {system: "Answer the customer, kindly."}
teacher: {system: s, demonstrate: "<message>{{ input }}</message> Answer in {{ count }} ways."}
critic:
  system: s
  compare: "<message>{{ input }}</message><first>{{ first }}</first><second>{{ second }}</second> 1 or 2?"
  critique: "<message>{{ input }}</message><draft>{{ draft }}</draft> JSON."
judge:
  system: s
  compare: "<message>{{ input }}</message><first>{{ first }}</first><second>{{ second }}</second> 1 or 2?"
"""
ALONE = "name: alone\nstudent: {system: s}\n"


@pytest.fixture
def support(tmp_path: Path) -> str:
    path = tmp_path / "support.yaml"
    path.write_text(SUPPORT, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with SimulatedCast(SimulatorSettings()) as cast:
        yield cast.base_url


def test_a_task_that_it_does_not_know_is_refused_with_what_would_do(support: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_cast(config_of(task=support), Plugs())
    told = str(refused.value)
    assert told.startswith("cast.teacher, cast.critic: the simulated cast plays in two tasks alone, humor (<sentence>)")
    for key in ("cast.critic.use", "cast.teacher.demonstrations", "cast.teacher.use", "'support'"):
        assert key in told


@pytest.mark.parametrize("text", [SUPPORT, ALONE])
def test_whoever_is_simulated_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text, encoding="utf-8")
    for cast, named in (
        ({"critic": SCORER}, "cast.teacher: "),
        ({"teacher": {"use": "m:t"}, "judge": SCORER}, "cast.critic: "),
        ({"teacher": {"use": "m:t"}, "critic": SCORER, "judge": {}}, "cast.judge: "),
        ({"teacher": {"use": "m:t"}, "critic": SCORER, "jury": [{}]}, "cast.jury.0: "),
    ):
        with pytest.raises(ConfigError, match=f"^{named}"):
            check_cast(config_of(task=str(path), cast=cast), Plugs())


def test_with_a_scorer_and_a_function_it_is_not_asked(support: str) -> None:
    config = config_of(task=support, cast={"teacher": {"use": "m:teach"}, "critic": SCORER})
    assert check_cast(config, Plugs()) is False


def test_one_that_is_served_elsewhere_knows_no_more(support: str, served: str) -> None:
    members: dict[str, Any] = {
        role: {"model": f"sim-{role}", "base_url": served} for role in ("teacher", "critic", "judge")
    }
    with pytest.raises(ConfigError, match=r"^cast\.teacher, cast\.critic, cast\.judge: the simulated cast plays"):
        check_cast(config_of(task=support, cast=members), Plugs())
    assert check_cast(config_of(cast=members), Plugs())


@pytest.mark.parametrize("style", ["label", "reason", "cloze"])
@pytest.mark.parametrize("task", ["humor", "plain-language"])
def test_its_own_tasks_it_knows_in_every_style(task: str, style: str) -> None:
    config = config_of(task=task, verdict={"style": style})
    assert check_cast(config, Plugs())
    assert not simulated_task_notes(config, load_task(task))


def test_a_task_of_another_name_with_the_tags_of_its_own_is_played_and_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shown = load_task("humor").as_file()
    from openmic.agents.tasks.task_file import as_yaml

    path.write_text(as_yaml(shown.model_copy(update={"name": "puns"})), encoding="utf-8")
    config = config_of(task=str(path))
    assert check_cast(config, Plugs())
    [note] = simulated_task_notes(config, load_task(str(path)))
    assert "takes the task 'puns' for humor" in note
