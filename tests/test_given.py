"""What is given in Python is looked at before anything is done with it."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]  # it ships no types
import pytest
from datasets import Dataset

import openmic
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError, OpenmicError, StoreError
from openmic.given import checked_input, laid_over, resolve, single, with_inputs
from openmic.table import dialogue_filter

from .training.objectives.own_objectives import Margin

INPUT = "The bus left."
ROWS = [{"input": INPUT, "output": ["Ha."]}, {"input": "Soup.", "output": ["Hm."]}]
BASE = {"inputs": {"path": "x.txt"}}


def shorter(_input: Any, outputs: Sequence[str]) -> list[float]:
    return [-float(len(output)) for output in outputs]


def configured(config: Mapping[str, Any], overrides: Any = None, **given: Any) -> RunConfig:
    return resolve(config, overrides, given)[0]


# Overrides


def test_a_section_that_is_laid_over_keeps_its_other_values() -> None:
    base = BASE | {"training": {"epochs": 7, "lora": {"r": 4}}, "cast": {"critic": {"model": "m", "margin": 0.5}}}
    for overrides in ({"training": {"beta": 0.2, "lora": {"alpha": 8}}}, ["training={beta: 0.2, lora: {alpha: 8}}"]):
        training = configured(base, overrides).training
        assert (training.beta, training.epochs, training.lora.alpha, training.lora.r) == (0.2, 7, 8, 4)
    critic = configured(base, {"cast": {"critic": {"max_concurrency": 3}}}).cast.critic
    assert (critic.model, critic.margin, critic.max_concurrency) == ("m", 0.5, 3)


def test_who_is_named_takes_the_place_of_whoever_was() -> None:
    base = BASE | {"cast": {"critic": {"model": "m", "margin": 0.5}, "teacher": {"demonstrations": "a.jsonl"}}}
    critic = configured(base, {"cast.critic": {"use": "length"}}).cast.critic
    assert (critic.use, critic.model, critic.margin) == ("length", "simulated", 0.5)
    again = BASE | {"cast": {"critic": {"use": "a:b", "kwargs": {"c": 1}}}}
    assert configured(again, {"cast": {"critic": {"use": "length"}}}).cast.critic.kwargs == {}
    assert configured(again, {"cast.critic": {"model": "m"}}).cast.critic.use is None
    assert configured(base, {"cast": {"teacher": {"model": "m"}}}).cast.teacher.demonstrations is None
    assert configured(base, {"cast": {"judge": {"model": "j"}}}).cast.member("judge").model == "j"
    with pytest.raises(ConfigError, match="exclude each other"):
        configured(base, {"cast.critic": {"use": "length", "model": "m"}})


def test_arguments_of_another_object_go_with_it() -> None:
    base = BASE | {
        "training": {"objective": "a:B", "objective_kwargs": {"z": 1}},
        "student": {"engine": "a:B", "engine_kwargs": {"z": 1}},
    }
    config = configured(base, objective="dpo", engine="static")
    assert (config.training.objective_kwargs, config.student.engine_kwargs) == ({}, {})
    assert configured(base, objective={"use": "a:C", "kwargs": {"y": 2}}).training.objective_kwargs == {"y": 2}
    assert configured(base, objective="a:B").training.objective_kwargs == {"z": 1}


def test_overrides_are_a_mapping_or_lines() -> None:
    assert laid_over("rounds=2") == laid_over(["rounds=2"]) == laid_over({"rounds": 2}) == ["rounds=2"]
    for wrong in (5, [5], {"rounds=2"}):
        with pytest.raises(ConfigError, match=r"overrides: .* is neither"):
            laid_over(wrong)  # type: ignore[arg-type]  # that is what is tried


@pytest.mark.parametrize(
    ("given", "overrides", "key"),
    [
        ({"critic": shorter}, {"cast.critic": {"model": "m"}}, "cast.critic"),
        ({"critic": shorter}, {"cast": {"critic": {"use": "length"}}}, "cast.critic"),
        ({"judge": shorter}, {"cast.judge": None}, "cast.judge"),
        ({"engine": lambda settings, threads, worker: None}, {"student.engine": "static"}, "student.engine"),
        ({"objective": Margin}, {"training.objective": "dpo"}, "training.objective"),
        ({"scorers": [shorter]}, {"evaluation.scorers": ["length"]}, "evaluation.scorers.0"),
        ({"scorers": [shorter]}, {"evaluation.scorers": []}, "evaluation.scorers.0"),
        ({"task": openmic.Task("mine", student={"system": "Be brief."})}, {"task": "humor"}, "task"),
    ],
)
def test_an_override_in_an_objects_place_is_refused(given: dict[str, Any], overrides: Any, key: str) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: an object was given in Python, and an override sets"):
        configured(BASE, overrides, **given)


# Things that are given


def test_rows_of_the_teachers_may_be_a_table_and_lie_in_the_home_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, rows in enumerate((ROWS, pd.DataFrame(ROWS), Dataset.from_list(ROWS))):
        home = tmp_path / f"home{place}"
        path = configured(BASE, {"home": str(home)}, teacher=rows).cast.teacher.demonstrations
        assert path is not None
        assert path.is_relative_to(home)
        assert [json.loads(line) for line in path.read_text().splitlines()] == ROWS
    assert not (tmp_path / "openmic-data").exists()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"teacher": [("a", "b")]}, "cast.teacher: row 0 is ('a', 'b'); make it {\"input\""),
        ({"teacher": ["a"]}, "cast.teacher: row 0 is 'a'"),
        ({"teacher": type("T", (), {})}, "cast.teacher: T is a class; give an object of it"),
        ({"critic": type("C", (), {})}, "cast.critic: C is a class; give an object of it"),
        ({"scorers": shorter}, "is no list; give a list of scorers"),
        ({"scorers": "length"}, "scorers: 'length' is no list"),
        ({"scorers": {"use": "length"}}, "is no list; give a list of scorers"),
        ({"scorers": [lambda i, o: [0.0], lambda i, o: [1.0]]}, "two are called '<lambda>'; give one another name"),
        ({"scorers": [partial(shorter), partial(shorter)]}, "two are called 'partial'; give one another name: a fun"),
        ({"scorers": ["length", "length"]}, "scorers: two are called 'length'"),
        ({"scorers": [{"us": "length"}]}, "scorers, item 0: {'us': 'length'} is no plug"),
        ({"objective": {"name": "x"}}, "training.objective: {'name': 'x'} is no plug"),
    ],
)
def test_what_cannot_be_meant_says_why(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        configured(BASE, **given)


@pytest.mark.parametrize("config", [5, [1], object()])
def test_a_configuration_is_a_file_or_a_mapping(config: Any) -> None:
    with pytest.raises(ConfigError, match="is neither a configuration file, a mapping, nor a Config"):
        configured(config)


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ("abc", "inputs: 'abc' is a str; give a list"),
        ({"a": "b"}, "is a dict; give a list"),
        ([None], "inputs, item 0: None is a NoneType; give a text"),
        ([1, 2], "inputs, item 0: 1 is a int"),
        (["a", ("a", "b")], "inputs, item 1: ('a', 'b') is a tuple"),
        ([{"q": 1}], "inputs, item 0: {'q': 1} is no input"),
        ([{}], "inputs, item 0: {} is no input"),
        (["a", "\ud800"], "inputs, item 1: half of a surrogate pair"),
        (["a\0b"], "inputs, item 0: there is a NUL character"),
    ],
)
def test_inputs_that_are_none_are_refused_with_their_place(inputs: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        with_inputs(configured(BASE), inputs)


def test_a_table_of_inputs_is_read_and_the_files_encoding_is_not_theirs(tmp_path: Path) -> None:
    base = configured(BASE | {"home": str(tmp_path), "inputs": {"path": "x.csv", "encoding": "utf-16", "limit": 2}})
    found = with_inputs(base, pd.DataFrame({"question": ["a"], "context": ["ä"]})).inputs
    assert (found.field_names, found.encoding, found.limit) == (("question", "context"), None, 2)
    assert json.loads(found.path.read_text()) == {"question": "a", "context": "ä"}
    with pytest.raises(StoreError, match="home '/proc/nowhere' cannot be written"):
        with_inputs(configured(BASE | {"home": "/proc/nowhere"}), ["a"])


# Single things


def test_a_configuration_of_the_verdict_alone_is_enough() -> None:
    assert single({"verdict": {"tie_margin": 0.0}})[0].verdict.tie_margin == 0.0
    assert openmic.compare(INPUT, "a", "bb", critic=shorter, config={"verdict": {"tie_margin": 0.0}}).outcome == "win"


def test_a_task_is_named_by_its_file_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nversion: 1\nstudent: {system: Be brief.}\n")
    for named in (path, str(path)):
        assert openmic.compare(INPUT, "a", "bb", critic=shorter, task=named).outcome == "win"


@pytest.mark.parametrize("source", [None, 5, ["a"], {"q": 1}, {}, b"a", "\ud800"])
def test_what_is_no_input_is_refused(source: Any) -> None:
    for ask in (
        lambda: openmic.compare(source, "a", "b", critic=shorter),
        lambda: openmic.criticise(source, "a"),
        lambda: openmic.dialogue(source),
        lambda: openmic.best_of(shorter, source, ["a"]),
    ):
        with pytest.raises(ConfigError, match=r"^source: "):
            ask()
    assert checked_input({"q": "a"}, "source") == {"q": "a"}


@pytest.mark.parametrize("output", [None, 5, b"a", "\ud800"])
def test_what_is_no_output_is_refused(output: Any) -> None:
    with pytest.raises(ConfigError, match=r"^second: "):
        openmic.compare(INPUT, "a", output, critic=shorter)
    with pytest.raises(ConfigError, match=r"^text: "):
        openmic.criticise(INPUT, output)
    with pytest.raises(ConfigError, match=r"^outputs, item 1: "):
        openmic.best_of(shorter, INPUT, ["a", output])


@pytest.mark.parametrize(
    ("scorer", "outputs", "why"),
    [
        (shorter, [], "outputs: there is none to choose from"),
        (shorter, None, "outputs: None is a NoneType"),
        (shorter, "abc", "outputs: 'abc' is a str; give a list"),
        ({"us": "length"}, ["a"], "scorer: {'us': 'length'} is no plug"),
        ("", ["a"], "scorer: '' is no plug"),
        ("lenght", ["a"], "there is no 'lenght'"),
    ],
)
def test_the_best_of_nothing_is_refused(scorer: Any, outputs: Any, why: str) -> None:
    with pytest.raises(OpenmicError, match=re.escape(why)):
        openmic.best_of(scorer, INPUT, outputs)


def test_the_best_of_what_is_generated_is_chosen() -> None:
    assert openmic.best_of(shorter, INPUT, (text for text in ("bb", "a"))) == "a"


@pytest.mark.parametrize("progress", [object(), "x", 1.5])
def test_progress_has_what_is_called(progress: Any) -> None:
    with pytest.raises(ConfigError, match=r"^progress: .* has no bar and no print"):
        openmic.run(BASE, inputs=["a"], critic=shorter, progress=progress)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"stag": "collect"}, "there is no field 'stag'; there are stage, split, round"),
        ({"stage": "colect"}, "there is no stage 'colect'; there are demonstrate"),
        ({"status": "done"}, "there is no status 'done'"),
        ({"round": "x"}, "round 'x' is a str, and not a int"),
        ({"verdict": "won"}, "there is no verdict 'won'"),
    ],
)
def test_dialogues_that_cannot_be_are_refused(wanted: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        dialogue_filter(wanted)
    assert dialogue_filter({"stage": "collect", "round": 1, "tag": None}).round == 1
