import json
from pathlib import Path

import pytest
import yaml

from openmic.core.config import RunConfig

from ...whole_run import ROOT
from ..conftest import Openmic

HUMOR = str(ROOT / "examples" / "humor.yaml")


def test_show_prints_every_key_resolved_as_yaml_and_as_json(openmic: Openmic) -> None:
    plain, as_json = openmic("config", "show", HUMOR), openmic("config", "show", HUMOR, "--json")
    assert plain.code == as_json.code == 0
    values = json.loads(as_json.out)
    assert yaml.safe_load(plain.out) == values
    assert set(values) == set(RunConfig.model_fields)
    assert values["dialogue"]["max_revisions"] == 1
    assert values["inputs"]["path"].endswith("examples/inputs/humor.jsonl")


def test_an_override_wins_over_the_environment_and_the_environment_over_the_file(
    openmic: Openmic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounds(*more: str) -> int:
        return int(json.loads(openmic("config", "show", HUMOR, "--json", *more).out)["rounds"])

    assert rounds() == 1
    monkeypatch.setenv("OPENMIC_ROUNDS", "4")
    assert rounds() == 4
    assert rounds("--set", "rounds=6") == 6


def test_what_show_prints_is_a_configuration_again(openmic: Openmic, tmp_path: Path) -> None:
    first = openmic("config", "show", HUMOR)
    (tmp_path / "resolved.yaml").write_text(first.out, encoding="utf-8")
    assert openmic("config", "show", "resolved.yaml").out == first.out


def test_no_key_is_printed_even_when_there_is_one(openmic: Openmic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    assert "sk-very-secret" not in openmic("config", "show", HUMOR, "--json").out


def test_the_password_of_a_store_is_not_printed(openmic: Openmic) -> None:
    outcome = openmic("config", "show", HUMOR, "--json", "--set", "store=postgresql://me:s3cret@host/db")
    assert json.loads(outcome.out)["store"] == "postgresql://me@host/db"


def test_the_schema_describes_every_key(openmic: Openmic) -> None:
    outcome = openmic("config", "schema")
    assert outcome.code == 0
    schema = json.loads(outcome.out)
    assert set(schema["properties"]) == set(RunConfig.model_fields)
    assert schema["additionalProperties"] is False
    assert (
        "Drafts the student samples" in schema["$defs"]["DialogueSettings"]["properties"]["candidates"]["description"]
    )


@pytest.mark.parametrize("name", ["humor.yaml", "humor-openai.yaml", "humor-vllm.yaml", "plain-language.yaml"])
def test_every_example_is_a_valid_configuration(openmic: Openmic, name: str) -> None:
    outcome = openmic("config", "show", str(ROOT / "examples" / name), "--json")
    assert outcome.code == 0, outcome.err
    assert Path(json.loads(outcome.out)["inputs"]["path"]).is_file()
