"""A configuration that cannot be used: see `refusal` for what it gets."""

from pathlib import Path

import pytest

from .conftest import Openmic
from .refusal import refused


def test_a_configuration_file_that_is_not_there(openmic: Openmic, tmp_path: Path) -> None:
    error = refused(openmic, tmp_path, "run", "nowhere.yaml")
    assert repr(str(Path("nowhere.yaml").absolute())) in error
    assert "`openmic init` makes one" in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"inputs: [unclosed", ["line 1", "not valid YAML"]),
        (b"name: caf\xe9\n", ["not UTF-8", "byte 9"]),
        (b"- a\n- list\n", ["holds no configuration"]),
        (b"", ["holds no configuration"]),
        (b"name: x\n", ["inputs is missing"]),
    ],
)
def test_a_configuration_file_that_cannot_be_read(
    openmic: Openmic, tmp_path: Path, text: bytes, said: list[str]
) -> None:
    (tmp_path / "bad.yaml").write_bytes(text)
    error = refused(openmic, tmp_path, "run", "bad.yaml")
    for words in ("bad.yaml", *said):
        assert words in error


@pytest.mark.parametrize(
    ("override", "nearest"),
    [
        ("dialogue.candidate=3", "'dialogue.candidates'"),
        ("round=2", "'rounds'"),
        ("cast.teacher.modle=x", "'cast.teacher.model'"),
        ("learning_rate=0.1", "learning_rate'"),
    ],
)
def test_an_unknown_key_gets_the_nearest_valid_one(
    openmic: Openmic, config: Path, tmp_path: Path, override: str, nearest: str
) -> None:
    error = refused(openmic, tmp_path, "run", str(config), "--set", override)
    assert f"--set {override}: unknown key '{override.partition('=')[0]}'" in error
    assert "did you mean" in error
    assert nearest in error


def test_an_unknown_key_in_the_file_names_the_file(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text(encoding="utf-8") + "studnet: {model: x}\n", encoding="utf-8")
    error = refused(openmic, tmp_path, "run", str(config))
    assert f"{config}: unknown key 'studnet'; did you mean 'student'?" in error.replace("\n", "")


def test_an_unknown_key_in_the_environment_names_the_variable(
    openmic: Openmic, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENMIC_TRAINING__EPOCH", "3")
    error = refused(openmic, tmp_path, "run", str(config))
    assert "environment variable OPENMIC_TRAINING__EPOCH" in error
    assert "'training.epochs'" in error


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("rounds=many", ["rounds", '"many"', "integer"]),
        ("rounds=-1", ["rounds", "greater than or equal to 0"]),
        ("training.learning_rate=fast", ["training.learning_rate", "number"]),
        ("preferences.length_ratio=[2, 3]", ["length_ratio", "low <= 1 <= high"]),
        ("inputs.test_ratio=0.95", ["leave nothing to train on"]),
        ("inputs=just-a-file.txt", ["inputs"]),
    ],
)
def test_a_value_of_a_wrong_type_or_out_of_range(
    openmic: Openmic, config: Path, tmp_path: Path, override: str, said: list[str]
) -> None:
    error = refused(openmic, tmp_path, "run", str(config), "--set", override)
    for words in (f"--set {override}", *said):
        assert words in error


def test_an_objective_that_does_not_exist_names_those_that_do(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    error = refused(openmic, tmp_path, "run", str(config), "--set", "training.objective=magic")
    assert "training.objective 'magic' is none of sft, sd, brio, dpo" in error.replace("\n", " ")


def test_a_flag_is_not_blamed_for_what_the_file_says(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    config.write_text("inputs: {path: inputs.txt, test_ratio: 0.95}\n", encoding="utf-8")
    error = refused(openmic, tmp_path, "run", str(config), "--set", "inputs.limit=9")
    assert error.startswith(f"error: {config}: inputs: dev_ratio and test_ratio")


@pytest.mark.parametrize("override", ["rounds", "=3", "name.first=x", "rounds=[1"])
def test_an_override_that_is_none(openmic: Openmic, config: Path, tmp_path: Path, override: str) -> None:
    assert override in refused(openmic, tmp_path, "run", str(config), "--set", override)
