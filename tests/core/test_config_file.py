from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from openmic.core.config import RunConfig
from openmic.core.config_file import config_from, load_config, stray_variables
from openmic.core.errors import ConfigError
from openmic.core.files.examples import example_file, example_names

INPUTS = "inputs: {path: inputs.txt}\n"
EXAMPLES = Path(__file__).parents[2] / "examples"

Load = Callable[..., RunConfig]
Refuse = Callable[..., str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.yaml"


@pytest.fixture
def load(path: Path) -> Load:
    def read(text: str = "", *overrides: str, **environment: str) -> RunConfig:
        path.write_text(INPUTS + text, encoding="utf-8")
        return load_config(path, overrides, environment)

    return read


@pytest.fixture
def refuse(path: Path) -> Refuse:
    def read(text: str, overrides: Sequence[str] = (), **environment: str) -> str:
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            load_config(path, overrides, environment)
        assert caught.value.exit_code == 2
        return str(caught.value)

    return read


def test_the_file_is_laid_over_the_defaults(load: Load) -> None:
    config = load("rounds: 3\ntraining: {lora: {r: 4}}\n")
    assert (config.rounds, config.training.lora.r, config.training.lora.alpha) == (3, 4, 32)


def test_a_flag_outranks_the_environment_and_that_the_file(load: Load) -> None:
    assert load("seed: 1").seed == 1
    assert load("seed: 1", OPENMIC_SEED="2").seed == 2
    assert load("seed: 1", "seed=3", OPENMIC_SEED="2").seed == 3
    assert load("seed: 1", "seed=3", "seed=4", OPENMIC_SEED="2").seed == 4


def test_the_processs_own_environment_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(INPUTS)
    monkeypatch.setenv("OPENMIC_TRAINING__LORA__R", "9")
    assert load_config(path).training.lora.r == 9


def test_flags_and_variables_reach_nested_keys_and_make_sections_on_the_way(load: Load) -> None:
    config = load("", "cast.judge.model=m", "training.lora.r=2", OPENMIC_CAST__TEACHER__MAX_RETRIES="1")
    assert config.cast.judge is not None
    assert (config.cast.judge.model, config.training.lora.r, config.cast.teacher.max_retries) == ("m", 2, 1)


def test_a_nested_flag_leaves_its_neighbours_alone(load: Load) -> None:
    config = load("cast: {teacher: {model: m, timeout_s: 5}}", "cast.teacher.model=n")
    assert (config.cast.teacher.model, config.cast.teacher.timeout_s) == ("n", 5.0)


def test_values_are_yaml(load: Load) -> None:
    config = load(
        "",
        "preferences.length_ratio=[0.5, 3]",
        "training.learning_rate=5e-4",
        "cast.teacher={model: m, max_retries: 0}",
        "cast.teacher.base_url=http://localhost:8000/v1?a=b",
        "inputs.limit=null",
        "preferences.teacher_over_student=yes",
    )
    assert config.preferences.length_ratio == (0.5, 3.0)
    assert config.training.learning_rate == 5e-4
    assert (config.cast.teacher.model, config.cast.teacher.base_url) == ("m", "http://localhost:8000/v1?a=b")
    assert config.preferences.teacher_over_student


def test_faults_are_named_in_files_flags_and_variables(load: Load) -> None:
    config = load(
        "cast: {simulated: {faults: {429: 0.1}}}",
        "cast.simulated.faults.timeout=0.2",
        OPENMIC_CAST__SIMULATED__FAULTS__500="0.05",
    )
    assert config.cast.simulated.faults == {"429": 0.1, "timeout": 0.2, "500": 0.05}
    with pytest.raises(ConfigError, match="there is no fault 'timeouts'; there are 401"):
        load("", "cast.simulated.faults.timeouts=0.2")


def test_reserved_and_foreign_variables_are_no_keys(load: Load) -> None:
    assert load("", OPENMIC_CACHE="/tmp/x", OPENAI_API_KEY="k", openmic_rounds="no") == load("")


OF_OTHERS = [
    "OPENMIC_STUDENT_API_KEY",
    "OPENMIC_TOKEN",
    "OPENMIC_",
    "OPENMIC__",
    "OPENMIC_VERSION",
    "OPENMIC_PORT",
    "OPENMIC_SERVICE_HOST",
    "OPENMIC_SERVICE_PORT",
    "OPENMIC_SERVICE_PORT_HTTP",
    "OPENMIC_PORT_80_TCP",
    "OPENMIC_PORT_80_TCP_ADDR",
    "OPENMIC_PORT_80_TCP_PORT",
    "OPENMIC_PORT_80_TCP_PROTO",
    "OPENMIC_STORE_SERVICE_HOST",
    "OPENMIC_A__B_SERVICE_HOST",
    "OPENMIC_A__B_PORT_53_UDP_ADDR",
    "OPENMIC_TEACHER__1_PORT",
]


@pytest.mark.parametrize("name", OF_OTHERS)
def test_variables_that_belong_to_somebody_else_end_no_run(load: Load, name: str) -> None:
    assert load("", **{name: "tcp://10.0.0.1:80"}) == load("")


def test_a_key_may_be_held_by_a_variable_of_any_name(load: Load) -> None:
    held = {"OPENMIC_CRITIC__KEY": "sk: [x"}
    assert load("cast: {critic: {model: m, api_key_env: OPENMIC_CRITIC__KEY}}", **held).cast.critic.model == "m"
    assert load("cast: {jury: [{model: m, api_key_env: OPENMIC_CRITIC__KEY}]}", **held).cast.jury[0].model == "m"
    assert load("", "cast.critic.api_key_env=OPENMIC_CRITIC__KEY", **held).cast.critic.asked


def test_a_variable_that_sets_nothing_and_was_meant_to_is_told() -> None:
    names = ["OPENMIC_TRAINING_OBJECTIVE", "OPENMIC_ROUNDZ", "OPENMIC_SEED", "OPENMIC_PORT", "OPENMIC_STUDENT_API_KEY"]
    assert stray_variables(dict.fromkeys(names, "x")) == [
        "the environment variable OPENMIC_ROUNDZ sets nothing; did you mean OPENMIC_ROUNDS?",
        "the environment variable OPENMIC_TRAINING_OBJECTIVE sets nothing; did you mean OPENMIC_TRAINING__OBJECTIVE?",
    ]


def test_paths_are_found_from_the_files_folder(load: Load, path: Path) -> None:
    config = load("task: mine/limerick.yaml")
    assert config.inputs.path == path.parent / "inputs.txt"
    assert config.task == str(path.parent / "mine/limerick.yaml")
    assert load("task: humor").task == "humor"
    assert load("", "inputs.path=/abs/x.txt").inputs.path == Path("/abs/x.txt")


def test_paths_in_flags_and_variables_are_found_from_the_working_directory(load: Load, path: Path) -> None:
    config = load(
        "cast: {teacher: {demonstrations: of_file.jsonl}}\n", "inputs.path=own.txt", OPENMIC_TASK="own/task.yaml"
    )
    assert (config.inputs.path, config.task) == (Path("own.txt"), "own/task.yaml")
    assert config.cast.teacher.demonstrations == path.parent / "of_file.jsonl"
    whole = load("", "inputs={path: own.txt}", "cast.teacher.demonstrations=own.jsonl")
    assert (whole.inputs.path, whole.cast.teacher.demonstrations) == (Path("own.txt"), Path("own.jsonl"))


@pytest.mark.parametrize("name", example_names())
def test_the_examples_are_valid(name: str) -> None:
    assert load_config(example_file(name), environment={}).inputs.path.exists()


def test_an_experiment_is_told_apart_from_a_configuration() -> None:
    with pytest.raises(ConfigError, match="it is an experiment, for `openmic experiment`"):
        load_config(EXAMPLES / "paper_table.yaml", environment={})


UNKNOWN = [
    ("roundz: 2", "'roundz'; did you mean 'rounds'?"),
    ("cast: {teachr: {model: m}}", "'cast.teachr'; did you mean 'cast.teacher'?"),
    ("cast: {teacher: {modle: m}}", "'cast.teacher.modle'; did you mean 'cast.teacher.model'?"),
    ("cast: {judge: {base_ulr: m}}", "'cast.judge.base_ulr'; did you mean 'cast.judge.base_url'?"),
    ("training: {lora: {rank: 3, alhpa: 2}}", "'training.lora.alhpa'; did you mean 'training.lora.alpha'?"),
    ("student: {sampling: {temprature: 1}}", "did you mean 'student.sampling.temperature'?"),
    ("learning_rate: 1e-4", "'learning_rate'; did you mean 'imitation.learning_rate'?"),
    ("dialogue: {xyzzy: 1}", "'dialogue.xyzzy'; valid keys of dialogue are inputs, candidates,"),
    ("xyzzy: 1", "'xyzzy'; valid keys are name, task, seed,"),
    ("1: 2", "'1'; valid keys are name, task, seed,"),
]


@pytest.mark.parametrize(("text", "message"), UNKNOWN)
def test_an_unknown_key_is_named_with_the_nearest_valid_one(
    refuse: Refuse, path: Path, text: str, message: str
) -> None:
    said = refuse(INPUTS + text)
    assert message in said
    assert all(line.startswith(f"{path}: ") for line in said.splitlines())


WRONG = [
    ("rounds: two", 'rounds: input should be a valid integer, unable to parse string as an integer (given: "two")'),
    ("rounds: 1.5", "rounds: input should be a valid integer"),
    ("rounds: -1", "rounds: input should be greater than or equal to 0 (given: -1)"),
    ("rounds: yes", "rounds: yes, no, true and false are no values for this key (given: true)"),
    ("rounds: 2024-05-06", 'rounds: input should be a valid integer (given: "2024-05-06")'),
    ("rounds:", "rounds: input should be a valid integer (given: null)"),
    ("name: 7", "name: input should be a valid string (given: 7)"),
    ("name: [a]", 'name: input should be a valid string (given: ["a"])'),
    ("verdict: {style: loud}", "verdict.style: input should be 'label', 'reason' or 'cloze' (given: \"loud\")"),
    ("training: {learning_rate: 0}", "training.learning_rate: input should be greater than 0 (given: 0)"),
    ("training: {epochs: .inf}", "training.epochs: input should be a finite number"),
    ("training: {epochs: .nan}", "training.epochs: input should be"),
    ("training: {lora: big}", "training.lora: input should be a section"),
    ("preferences: {length_ratio: [1]}", "preferences.length_ratio.1 is missing"),
    ("preferences: {length_ratio: [2, 3]}", "preferences: length_ratio must be [low, high]"),
    ("preferences: {revisions: perhaps}", "preferences.revisions: input should be a valid boolean"),
    ("cast:", "cast: input should be a section (given: null)"),
    ("cast: {teacher: gpt}", "cast.teacher: input should be a section"),
    ("student: {sampling: {top_p: 0}}", "student.sampling.top_p: input should be greater than 0"),
    ("evaluation: {confidence: 95}", "evaluation.confidence: input should be less than 1 (given: 95)"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_value_is_named_with_its_place(refuse: Refuse, path: Path, text: str, message: str) -> None:
    assert f"{path}: {message}" in refuse(INPUTS + text)


def test_what_is_missing_is_named(refuse: Refuse) -> None:
    assert "inputs is missing" in refuse("rounds: 1")
    assert "inputs.path is missing" in refuse("inputs: {fields: text}")


def test_everything_that_is_wrong_is_reported_at_once(refuse: Refuse, path: Path) -> None:
    said = refuse(INPUTS + "roundz: 2\nname: 7\n", ["seed=x"], OPENMIC_DIALOGUE__CANDIDATES="1").splitlines()
    assert len(said) == 4
    assert {line.split(": ")[0] for line in said} == {
        str(path),
        "--set seed=x",
        "environment variable OPENMIC_DIALOGUE__CANDIDATES",
    }


BAD_FLAGS = [
    ("rounds", "--set 'rounds' is not of the form key=value"),
    ("=3", "--set '=3' is not of the form key=value"),
    ("", "--set '' is not of the form key=value"),
    ("rounds=[1", "--set rounds=[1: line 1, column 3: not valid YAML"),
    ("name=2024-13-45", "--set name=2024-13-45: not valid YAML"),
    (
        "rounds=x",
        '--set rounds=x: rounds: input should be a valid integer, unable to parse string as an integer (given: "x")',
    ),
    ("rounds.x=3", '--set rounds.x=3: rounds: input should be a valid integer (given: {"x": 3})'),
    ("seed.x=3", "--set seed.x=3: seed is a value, not a section"),
    (
        "cast.teacher.modle=m",
        "--set cast.teacher.modle=m: unknown key 'cast.teacher.modle'; did you mean 'cast.teacher.model'?",
    ),
    ("cast.teacher={modle: m}", "--set cast.teacher={modle: m}: unknown key 'cast.teacher.modle'"),
    ("cast..model=m", "--set cast..model=m: unknown key 'cast.'"),
    ("inputs=x", "--set inputs=x: inputs: input should be a section"),
]


@pytest.mark.parametrize(("flag", "message"), BAD_FLAGS)
def test_a_wrong_flag_is_named(refuse: Refuse, flag: str, message: str) -> None:
    assert refuse(INPUTS + "seed: 1\n", [flag]).startswith(message)


BAD_VARIABLES = [
    ("OPENMIC_ROUNDS", "x", "rounds: input should be a valid integer"),
    ("OPENMIC_ROUNDS", "[1", "not valid YAML"),
    ("OPENMIC_VERDICT__STYLE", "loud", "verdict.style: input should be 'label', 'reason' or 'cloze'"),
    ("OPENMIC_TRAINING__OBJECTIV", "dpo", "unknown key 'training.objectiv'; did you mean 'training.objective'?"),
    ("OPENMIC_TRIANING__OBJECTIVE", "dpo", "unknown key 'trianing'; did you mean 'training'?"),
    ("OPENMIC_CAST__TEACHER__PORT", "1", "unknown key 'cast.teacher.port'"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_VARIABLES)
def test_a_wrong_variable_is_named(refuse: Refuse, name: str, value: str, message: str) -> None:
    said = refuse(INPUTS, **{name: value})
    assert name in said.split(": ")[0]
    assert message in said


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no configuration file '.*nowhere\.yaml'.*openmic init"):
        load_config(tmp_path / "nowhere.yaml", environment={})


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path, environment={})


def test_a_file_that_is_not_utf_8(path: Path) -> None:
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"run\.yaml is not UTF-8 \(byte 9\)"):
        load_config(path, environment={})


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "just words", "7"])
def test_a_file_without_a_mapping(refuse: Refuse, text: str) -> None:
    assert "holds no configuration" in refuse(text)


BAD_YAML = [
    ("name: [a\nrounds: 2\n", "line 3, column 7: not valid YAML"),
    ("name: a\n\trounds: 2\n", "line 3, column 1: not valid YAML"),
    ("name: !!python/object/apply:os.getcwd []\n", "line 2, column 7: not valid YAML"),
    ("name: 2024-13-45\n", "not valid YAML: month must be in 1..12"),
    ("name: \x01\n", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "message"), BAD_YAML)
def test_malformed_yaml_is_reported_with_its_line(refuse: Refuse, path: Path, text: str, message: str) -> None:
    said = refuse(INPUTS + text)
    assert said.startswith(str(path))
    assert message in said


def test_the_environment_is_laid_over_values_from_python_and_leaves_them_as_they_are() -> None:
    given = {"inputs": {"path": "inputs.txt"}, "training": {"beta": 0.3}}
    config = config_from(given, {"OPENMIC_TRAINING__BETA": "0.5", "OPENMIC_CACHE": "elsewhere"})
    assert config.training.beta == 0.5
    assert given["training"] == {"beta": 0.3}
    with pytest.raises(ConfigError, match="environment variable OPENMIC_ROUNDS: rounds: "):
        config_from(given, {"OPENMIC_ROUNDS": "-1"})


def test_a_key_that_stands_twice_is_refused_with_its_lines(refuse: Refuse, path: Path) -> None:
    said = refuse(INPUTS + "seed: 1\nrounds: 2\nseed: 3\n")
    assert said == f"{path}, line 2 and line 4: the key 'seed' stands there twice; leave out one of the two"


@pytest.mark.parametrize(
    "text",
    [
        "dialogue.inputs: 3\ndialogue: {inputs: 4}\n",
        "dialogue: {inputs: 4}\ndialogue.inputs: 3\n",
        "training: {lora.r: 3, lora: {r: 4}}\n",
        "cast.critic.model: m\ncast: {critic: null}\n",
        "cast: {critic: null}\ncast.critic.model: m\n",
    ],
)
def test_a_key_that_stands_twice_dotted_and_nested(refuse: Refuse, text: str) -> None:
    assert "stands there twice, dotted and within its section" in refuse(INPUTS + text)


def test_keys_may_be_dotted_wherever_they_stand(load: Load) -> None:
    config = load("training.lora.r: 3\nimitation: {epochs: 4}\ntraining: {lora.alpha: 5}\n")
    assert (config.training.lora.r, config.training.lora.alpha, config.imitation.epochs) == (3, 5, 4)


def test_an_anchor_that_holds_itself(refuse: Refuse) -> None:
    assert "the anchor 'x' holds itself" in refuse(INPUTS + "cast: &x {critic: *x}\n")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("dialogue: {overused_endings: yes}", "are no values for this key, but told or turned_away"),
        ("evaluation: {scorers: length}", 'evaluation.scorers: input should be a list (given: "length")'),
        ("cast: {jury: x}", 'cast.jury: input should be a list (given: "x")'),
        ("student: {sampling: 3}", "student.sampling: input should be a section (given: 3)"),
        ("seed: yes", "yes, no, true and false are no values for this key (given: true)"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_words_of_yaml(refuse: Refuse, text: str, told: str) -> None:
    assert told in refuse(INPUTS + text)
