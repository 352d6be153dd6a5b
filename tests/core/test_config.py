from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from openmic.core.config import (
    SIMULATED,
    CastSettings,
    CriticSettings,
    EndpointSettings,
    InputSettings,
    RunConfig,
    TeacherSettings,
)
from openmic.core.dialogue_settings import PreferenceSettings
from openmic.core.section import Section
from openmic.core.student_settings import StudentEndpointSettings

SMALLEST: dict[str, Any] = {"inputs": {"path": "inputs.txt"}}


def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                found |= sections(inner)
    return found


def test_the_inputs_path_is_all_that_has_to_be_said() -> None:
    config = RunConfig.model_validate(SMALLEST)
    assert config.cast.teacher.model == SIMULATED
    assert [name for name, field in RunConfig.model_fields.items() if field.is_required()] == ["inputs"]


def test_every_section_takes_known_keys_alone_and_never_changes() -> None:
    for section in sections(RunConfig):
        assert section.model_config["extra"] == "forbid", section
        assert section.model_config["frozen"], section
    with pytest.raises(ValidationError):
        RunConfig.model_validate(SMALLEST).rounds = 3  # type: ignore[misc]  # that it is refused is what is shown


def test_what_is_written_out_is_read_back_as_the_same() -> None:
    config = RunConfig.model_validate(
        SMALLEST | {"preferences": {"length_ratio": [0.5, 2]}, "cast": {"judge": {"model": "m"}}}
    )
    assert RunConfig.model_validate(config.model_dump(mode="json")) == config


def test_keys_and_their_meaning_are_in_the_schema() -> None:
    definitions = RunConfig.model_json_schema()["$defs"]
    assert "Seconds one attempt may take" in definitions["CriticSettings"]["properties"]["timeout_s"]["description"]
    assert definitions["VerdictSettings"]["properties"]["style"]["enum"] == ["label", "reason", "cloze"]


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("key", ["rounds", "seed"])
def test_yes_and_no_are_no_numbers(key: str, value: bool) -> None:
    with pytest.raises(ValidationError, match=r"yes, no, true and false"):
        RunConfig.model_validate(SMALLEST | {key: value})


def test_yes_and_no_are_values_where_they_are_meant() -> None:
    assert PreferenceSettings(teacher_over_student=True).teacher_over_student
    assert not PreferenceSettings.model_validate({"revisions": False}).revisions


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_infinite_numbers_are_refused(value: float) -> None:
    with pytest.raises(ValidationError):
        RunConfig.model_validate(SMALLEST | {"training": {"epochs": value}})


def test_splits_must_leave_something_to_train_on() -> None:
    with pytest.raises(ValidationError, match="leave nothing to train on"):
        InputSettings.model_validate({"path": "x.txt", "dev_ratio": 0.5, "test_ratio": 0.5})


@pytest.mark.parametrize("ratio", [(1.1, 2), (0.5, 0.9), (0, 2), (2, 0.5)])
def test_a_length_ratio_is_a_range_around_one(ratio: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="length_ratio must be"):
        PreferenceSettings(length_ratio=ratio)


def test_the_judge_is_the_critic_unless_it_is_named() -> None:
    critic, judge, teacher = CriticSettings(model="critic"), CriticSettings(model="judge"), TeacherSettings(model="t")
    assert CastSettings(critic=critic).member("judge") == critic
    assert CastSettings(critic=critic, judge=judge).member("judge") == judge
    assert CastSettings(teacher=teacher, critic=critic).member("teacher") == teacher
    assert CastSettings(teacher=teacher, critic=critic).member("critic") == critic


def test_a_judge_that_was_the_critic_is_noticed() -> None:
    critic = CriticSettings(model="m", base_url="http://a/v1")
    assert CastSettings(critic=critic).judge_is_critic
    assert CastSettings(critic=critic, judge=critic.model_copy(update={"timeout_s": 5.0})).judge_is_critic
    assert not CastSettings(critic=critic, judge=CriticSettings(model="m", base_url="http://b/v1")).judge_is_critic
    assert not CastSettings(critic=critic, judge=CriticSettings(model="n", base_url="http://a/v1")).judge_is_critic
    mine = CriticSettings(use="mine:funny")
    assert CastSettings(critic=mine).judge_is_critic
    assert not CastSettings(critic=mine, judge=CriticSettings()).judge_is_critic


def test_the_simulated_judge_is_another_than_the_simulated_critic() -> None:
    assert not CastSettings().judge_is_critic
    assert not CastSettings(critic=CriticSettings(model="m"), judge=CriticSettings()).judge_is_critic


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({"use": "mine:f", "model": "m"}, "use=mine:f and model=m exclude each other"),
        ({"kwargs": {"a": 1}}, "kwargs are for what `use` names"),
        ({"use": "mine: f"}, "neither a name that ships nor module:attribute"),
        ({"demonstrations": "d.csv", "model": "m"}, "demonstrations take the place of a model"),
        ({"demonstrations": "d.csv", "use": "mine:f"}, "demonstrations take the place of a model"),
    ],
)
def test_who_plays_a_role_is_one_thing(member: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CastSettings.model_validate({"teacher": member})


def test_only_endpoints_are_asked() -> None:
    assert TeacherSettings().asked
    assert TeacherSettings().simulated
    for member in (TeacherSettings(use="mine:f"), TeacherSettings(demonstrations=Path("d.csv"))):
        assert not member.asked
        assert not member.simulated


def test_the_store_lies_in_the_home_folder_unless_it_is_named() -> None:
    assert RunConfig.model_validate(SMALLEST | {"home": "/data/x"}).store_url == "/data/x/openmic.db"
    assert RunConfig.model_validate(SMALLEST | {"store": "other.db"}).store_url == "other.db"


def test_a_storage_folder_is_found_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunConfig.model_validate(SMALLEST | {"storage_uri": "shared"}).storage_uri == str(tmp_path / "shared")
    for address in (None, "s3://bucket/openmic", f"file://{tmp_path}"):
        assert RunConfig.model_validate(SMALLEST | {"storage_uri": address}).storage_uri == address


def test_storage_takes_no_password() -> None:
    with pytest.raises(ValidationError, match="leave it to the environment"):
        RunConfig.model_validate(SMALLEST | {"storage_uri": "sftp://me:s3cret@host/x"})


def test_all_sections_of_our_own_are_sections() -> None:
    outside = {section.__name__ for section in sections(RunConfig) if not issubclass(section, Section)}
    assert outside == {"AnswerSampling", "DraftSampling"}


def test_a_beam_search_finds_as_many_texts_as_are_asked_for() -> None:
    beams = {"student": {"sampling": {"num_beams": 4}}}
    assert RunConfig.model_validate(SMALLEST | beams | {"dialogue": {"candidates": 4}})
    with pytest.raises(ValidationError, match=r"num_beams=4 finds fewer texts than dialogue\.candidates=6"):
        RunConfig.model_validate(SMALLEST | beams)


def test_an_evaluation_with_beams_has_an_engine_that_searches() -> None:
    evaluation = {"evaluation": {"sampling": {"num_beams": 5}}}
    for engine in ("continuous", "endpoint"):
        student = {"student": {"engine": engine, "endpoint": {"base_url": "http://localhost:1/v1"}}}
        with pytest.raises(
            ValidationError, match=f"engine={engine} has no beam search, and evaluation.*num_beams is 5"
        ):
            RunConfig.model_validate(SMALLEST | evaluation | student)
    assert RunConfig.model_validate(SMALLEST | evaluation).student.engine == "static"
    assert RunConfig.model_validate(SMALLEST).student.engine == "auto"


def test_scorers_are_plugs_each_with_a_name_of_its_own() -> None:
    scorers = ["length", {"use": "mine:reward"}, {"use": "length", "name": "words"}]
    config = RunConfig.model_validate(SMALLEST | {"evaluation": {"scorers": scorers}})
    assert [scorer.label for scorer in config.evaluation.scorers] == ["length", "reward", "words"]
    with pytest.raises(ValidationError, match=r"two scorers are called 'length'; give one of them another name"):
        RunConfig.model_validate(SMALLEST | {"evaluation": {"scorers": ["length", "mine:length"]}})


def test_a_path_may_begin_in_the_home_folder_wherever_one_may_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    values: dict[str, Any] = {
        "inputs": {"path": "~/in.txt"},
        "home": "~/data",
        "store": "~/x.db",
        "storage_uri": "~/adapters",
        "task": "~/task.yaml",
        "student": {"model": "~/models/small"},
        "cast": {"teacher": {"demonstrations": "~/d.jsonl"}},
        "evaluation": {"scorers": [{"use": "reward_model", "kwargs": {"model": "~/rm", "more": ["~/a", 1, "~b"]}}]},
    }
    config = RunConfig.model_validate(values)
    assert str(config.inputs.path) == "/home/me/in.txt"
    assert (str(config.home), config.store, config.storage_uri) == (
        "/home/me/data",
        "/home/me/x.db",
        "/home/me/adapters",
    )
    assert (config.task, config.student.model) == ("/home/me/task.yaml", "/home/me/models/small")
    assert str(config.cast.teacher.demonstrations) == "/home/me/d.jsonl"
    assert config.evaluation.scorers[0].kwargs == {"model": "/home/me/rm", "more": ["/home/me/a", 1, "~b"]}
    assert str(RunConfig.model_validate({"inputs": {"path": "x"}, "home": "~"}).home) == "/home/me"
    with pytest.raises(ValidationError, match="nobody here has the home folder '~nobody-at-all'; give the whole path"):
        RunConfig.model_validate({"inputs": {"path": "~nobody-at-all/in.txt"}})


@pytest.mark.parametrize(
    "values",
    [
        *({"name": "a\0b"}, {"inputs": {"path": "a\0b"}}, {"home": "a\0b"}, {"task": "a\0b"}),
        {"evaluation": {"scorers": [{"use": "length", "kwargs": {"a": ["b\0"]}}]}},
    ],
)
def test_a_nul_character_is_refused_wherever_it_stands(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="there is a NUL character in it"):
        RunConfig.model_validate({"inputs": {"path": "in.txt"}} | values)


def test_what_an_endpoint_is_sent_takes_numbers_and_dates_for_words() -> None:
    query = {"api-version": date(2024, 10, 21), "v": 2}
    assert EndpointSettings.model_validate({"query": query}).query == {"api-version": "2024-10-21", "v": "2"}


@pytest.mark.parametrize(
    "name", ["api-key", "Authorization", "X-Auth-Token", "X-Auth", "cookie", "Ocp-Apim-Subscription-Key"]
)
def test_a_secret_is_named_by_its_variable_and_never_stored(name: str) -> None:
    assert EndpointSettings(headers={name: "Bearer ${KEY}"}).headers == {name: "Bearer ${KEY}"}
    with pytest.raises(ValidationError, match="put it into an environment variable"):
        EndpointSettings(headers={name: "sk-1"})


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@a/v1",
        "https://token@a/v1",
        "https://a/v1?key=sk-1",
        "https://a/v1#key=sk-1",
        "https://a/v1?v=1&api-key=sk-1",
    ],
)
def test_an_address_holds_no_secret(url: str) -> None:
    for settings in (EndpointSettings, StudentEndpointSettings):
        with pytest.raises(ValidationError, match="would be stored with the run; leave it out"):
            settings.model_validate({"base_url": url})
    assert EndpointSettings(base_url="https://a/v1/@me?api-version=1").base_url == "https://a/v1/@me?api-version=1"


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "sk-1"},
        {"api_key": 123456},
        {"api_keys": ["sk-1"]},
        {"authorization": [["Bearer sk-1"]]},
        {"auth": {"user": "me"}},
        {"router": {"access_token": "sk-1"}},
        {"tools": [[{"bearer": "sk-1"}]]},
    ],
)
def test_a_body_holds_no_secret(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="put it into an environment variable"):
        EndpointSettings(extra_body=body)
    sent = {"prompt_cache_key": "mine", "stop_token": "</s>", "max_tokens": 3, "api_key": "${KEY}", "sort_key": "x"}
    sent |= {"logit_bias": {50256: -100}, "metadata": {"key": "label"}, "image_token": "<image>"}
    assert EndpointSettings(extra_body=sent).extra_body == sent


def test_a_body_of_ones_own_leaves_the_question_alone() -> None:
    with pytest.raises(ValidationError, match="messages, stream is openmic's to say"):
        EndpointSettings(extra_body={"stream": True, "messages": [], "top_k": 4})


@pytest.mark.parametrize(
    ("cast", "key"),
    [
        ({"judge": {"model": "m", "sampling": {"max_tokens": 9}}}, r"judge\.sampling"),
        ({"jury": [{"model": "m"}, {"model": "n", "sampling": {"top_p": 0.5}}]}, r"jury\[1\]\.sampling"),
    ],
)
def test_who_only_compares_has_no_sampling_of_its_own(cast: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError, match=rf"{key}: .*verdict\.max_tokens"):
        CastSettings(**cast)
