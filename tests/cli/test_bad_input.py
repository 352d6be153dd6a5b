"""What bad input gets: exit code 2, one error that says what, where and how to mend it, and nothing written."""

import http.server
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..whole_run import openmic as openmic_process
from ..whole_run import write_config
from .conftest import Openmic, Outcome

LINES = [f"I lost umbrella number {number} on the train." for number in range(30)]


@pytest.fixture
def config(tmp_path: Path, tiny_causal: Path) -> Path:
    """A configuration with which nothing is wrong."""
    (tmp_path / "inputs.txt").write_text("\n".join(LINES), encoding="utf-8")
    return write_config(tmp_path, tiny_causal, inputs={"path": "inputs.txt"})


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(openmic: Openmic, folder: Path, *arguments: str) -> str:
    """The error of a command that is refused; makes sure that it is one error and that nothing was written."""
    before = snapshot(folder)
    outcome = openmic(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.count("error:") == 1, outcome.err
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert snapshot(folder) == before
    return outcome.err


def test_the_configuration_that_these_tests_spoil_is_right(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    before = snapshot(tmp_path)
    outcome = openmic("run", str(config), "--dry-run")
    assert outcome.code == 0, outcome.err
    assert snapshot(tmp_path) == before


def test_the_process_itself_ends_so_too(config: Path, tmp_path: Path) -> None:
    done = openmic_process("run", str(config), "--set", "dialogue.candidate=3", cwd=tmp_path)
    refused(lambda *_: Outcome(done.returncode, done.stdout, done.stderr), tmp_path)
    assert not (tmp_path / "openmic-data").exists()


def test_a_configuration_file_that_is_not_there(openmic: Openmic, tmp_path: Path) -> None:
    error = refused(openmic, tmp_path, "run", "nowhere.yaml")
    assert "'nowhere.yaml'" in error
    assert "examples/humor.yaml" in error


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
        ("inputs.test_share=0.95", ["leave nothing to train on"]),
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
    config.write_text("inputs: {path: inputs.txt, test_share: 0.95}\n", encoding="utf-8")
    error = refused(openmic, tmp_path, "run", str(config), "--set", "inputs.limit=9")
    assert error.startswith(f"error: {config}: inputs: dev_share and test_share")


@pytest.mark.parametrize("override", ["rounds", "=3", "name.first=x", "rounds=[1"])
def test_an_override_that_is_none(openmic: Openmic, config: Path, tmp_path: Path, override: str) -> None:
    assert override in refused(openmic, tmp_path, "run", str(config), "--set", override)


def jsonl(*lines: str) -> bytes:
    return "\n".join([*(json.dumps({"input": line}) for line in LINES), *lines]).encode()


INPUTS = [
    ("missing.txt", None, ["there is no input file", "missing.txt", "inputs.path"]),
    ("empty.txt", b"", ["empty.txt is empty"]),
    ("blank.jsonl", b"\n \n", ["blank.jsonl is empty"]),
    ("latin.txt", "\n".join([*LINES[:4], "The café was shut."]).encode("latin-1"), ["line 5", "not UTF-8", "0xe9"]),
    ("broken.jsonl", jsonl('{"input": "cut of'), ["line 31", "column 11", "not valid JSON"]),
    ("other.jsonl", jsonl('{"text": "wrong key"}'), ["line 31", "'input'", "['text']", "inputs.field"]),
    ("number.jsonl", jsonl('{"input": 3}'), ["line 31", "no text under the key 'input'"]),
    ("list.jsonl", jsonl("[1]"), ["line 31", "it is a list"]),
    ("nothing.jsonl", jsonl('{"input": "..."}'), ["line 31", "no word"]),
    ("columns.csv", b"text\nHello there.\n", ["line 1", "no column 'input'", "['text']", "inputs.field"]),
    ("ragged.csv", b"input,n\nA cat sat.,1\nA dog ran.\n", ["line 3", "fewer fields"]),
    ("quote.csv", b'input\n"never closed\n', ["line 2", "not valid CSV"]),
    ("twice.txt", "\n".join([*LINES, "i lost UMBRELLA number 3, on the train"]).encode(), ["line 31", "line 4"]),
    ("few.txt", b"One sentence alone.\n", ["fewer than 2"]),
    ("inputs.docx", b"x", [".jsonl, .csv or .txt", ".docx"]),
    ("long.txt", ("word " * 2000).encode(), ["line 1", "over 4000"]),
]


@pytest.mark.parametrize(("name", "content", "said"), INPUTS, ids=[name for name, _, _ in INPUTS])
def test_inputs_that_cannot_be_used(
    openmic: Openmic, config: Path, tmp_path: Path, name: str, content: bytes | None, said: list[str]
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"inputs.path={name}")
    for words in (name, *said):
        assert words in error


def elsewhere(url: str, model: str = "sim-teacher") -> list[str]:
    return ["--set", f"cast.teacher.model={model}", "--set", f"cast.teacher.base_url={url}"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1", "nonsense"])
def test_an_endpoint_that_cannot_be_reached(openmic: Openmic, config: Path, tmp_path: Path, url: str) -> None:
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url))
    assert f"cast.teacher: the endpoint {url} cannot be reached" in error
    assert "cast.teacher.base_url" in error


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request as its server was told."""

    def do_GET(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined] # set by the fixture
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.answer_to_post  # type: ignore[attr-defined] # set by the fixture
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Any]:
    """A server on loopback whose `answer` and `answer_to_post` tests set."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def url_of(server: Any) -> str:
    return f"http://127.0.0.1:{server.server_port}/v1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b"<html>welcome</html>"), ["no OpenAI-compatible model list", "/v1"]),
        ((503, b"over capacity"), ["HTTP 503", "over capacity"]),
        ((401, b"{}"), ["wants a key", "OPENAI_API_KEY", "401"]),
    ],
)
def test_an_endpoint_that_is_none(
    openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any, answer: tuple[int, bytes], said: list[str]
) -> None:
    endpoint.answer = answer
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint)))
    for words in ("cast.teacher", url_of(endpoint), *said):
        assert words in error


def test_what_an_endpoint_says_cannot_drive_the_terminal(
    openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any
) -> None:
    endpoint.answer = (500, b"\x1b[2J\x1b]0;owned\x07out of order")
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint)))
    assert "out of order" in error
    assert "\x1b" not in error
    assert "\x07" not in error


def test_openai_itself_without_a_key(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    error = refused(openmic, tmp_path, "run", str(config), "--set", "cast.critic.model=gpt-4.1-mini")
    assert "cast.critic: https://api.openai.com/v1 needs a key" in error
    assert "OPENAI_API_KEY" in error


@pytest.mark.parametrize(("status", "said"), [(401, "rejects the key"), (403, "rejects the key")])
def test_a_key_that_is_rejected(
    openmic: Openmic,
    config: Path,
    tmp_path: Path,
    endpoint: Any,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    said: str,
) -> None:
    endpoint.answer = (status, b'{"error": {"code": "invalid_api_key"}}')
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-and-secret")
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint)))
    assert f"cast.teacher: the endpoint {url_of(endpoint)} {said}" in error
    assert "OPENAI_API_KEY" in error
    assert "sk-wrong-and-secret" not in error


def test_the_simulated_cast_rejects_a_wrong_key_and_takes_the_right_one(
    openmic: Openmic, config: Path, tmp_path: Path, locked_cast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "wrong")
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(locked_cast))
    assert "rejects the key in the environment variable OPENAI_API_KEY" in error
    assert "wrong" not in error
    monkeypatch.setenv("OPENAI_API_KEY", "right")
    assert openmic("run", str(config), "--dry-run", *elsewhere(locked_cast)).code == 0


def test_a_model_that_the_endpoint_does_not_have(openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any) -> None:
    endpoint.answer = (200, json.dumps({"data": [{"id": "sim-teacher"}, {"id": "other"}]}).encode())
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint), "sim-teach"))
    assert "has no model 'sim-teach'; it has sim-teacher" in error
    assert "cast.teacher.model" in error


def test_a_model_that_an_endpoint_without_a_list_does_not_have(
    openmic: Openmic, config: Path, tmp_path: Path, endpoint: Any
) -> None:
    endpoint.answer = (405, b"")
    endpoint.answer_to_post = (404, b'{"error": {"code": "model_not_found"}}')
    error = refused(openmic, tmp_path, "run", str(config), *elsewhere(url_of(endpoint), "gone"))
    assert "has no model 'gone'" in error


def student_folder(folder: Path, **config: Any) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize(
    ("model_type", "architecture"), [("bert", "BertForMaskedLM"), ("vit", "ViTModel"), ("clip", "CLIPModel")]
)
def test_a_student_that_is_neither_causal_nor_sequence_to_sequence(
    openmic: Openmic, config: Path, tmp_path: Path, model_type: str, architecture: str
) -> None:
    folder = student_folder(tmp_path / "encoder", model_type=model_type, architectures=[architecture])
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"student.model={folder}")
    assert f"student.model '{folder}' is neither a causal nor a sequence-to-sequence" in error
    assert architecture in error


def test_a_student_folder_that_is_not_there_or_holds_no_model(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    missing = str(tmp_path / "no-student")
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"student.model={missing}")
    assert f"student.model '{missing}' is not a folder" in error
    (tmp_path / "hollow").mkdir()
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"student.model={tmp_path / 'hollow'}")
    assert "cannot be opened" in error
    assert "config.json" in error


def test_a_store_that_cannot_be_written(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.db").write_text("this is no database at all, but a long text")
    for store, said in (
        ("file/openmic.db", "is not a folder"),
        ("folder", "is a folder"),
        ("text.db", "is not a SQLite database"),
        ("mysql://me:s3cret@host/db", "SQLite or PostgreSQL"),
        ("postgresql://me:s3cret@127.0.0.1:1/db", "cannot be reached"),
        ("sqlite://", "names no file"),
    ):
        error = refused(openmic, tmp_path, "run", str(config), "--set", f"store={store}")
        assert said in error
        assert "s3cret" not in error
    assert "is not a folder" in refused(openmic, tmp_path, "run", str(config), "--set", "home=file")


def test_storage_that_cannot_be_used(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for storage, said in (
        ("file/adapters", "is not a folder"),
        ("nosuch://bucket", "storage_uri 'nosuch://bucket' cannot be used"),
        ("sftp://me:s3cret@host/x", "it holds a password"),
    ):
        error = refused(openmic, tmp_path, "run", str(config), "--set", f"storage_uri={storage}")
        assert said in error


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_store_in_a_folder_without_permission(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    error = refused(openmic, tmp_path, "run", str(config), "--set", "store=locked/openmic.db")
    assert "no permission to write" in error


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("humour", ["there is no task 'humour'", "humor"]),
        ("gone.yaml", ["gone.yaml", "cannot be read"]),
        ("half.yaml", ["half.yaml", "student"]),
    ],
)
def test_a_task_that_is_none(openmic: Openmic, config: Path, tmp_path: Path, task: str, said: list[str]) -> None:
    (tmp_path / "half.yaml").write_text("name: half\nversion: 1\ndescription: d\n")
    error = refused(openmic, tmp_path, "run", str(config), "--set", f"task={task}")
    for words in said:
        assert words in error


@pytest.mark.parametrize(
    "command", [["status"], ["resume"], ["chat", "hello"], ["transcripts", "list"], ["transcripts", "show"]]
)
def test_commands_that_read_a_store_say_where_none_is(openmic: Openmic, tmp_path: Path, command: list[str]) -> None:
    error = refused(openmic, tmp_path, *command)
    assert "no store at" in error
    assert "openmic run" in error
    assert "--store" in error


@pytest.mark.parametrize("command", [["run", "--no-such-option"], ["walk"], ["graph", "draw", "house"]])
def test_a_command_line_that_is_none_ends_with_2_as_well(openmic: Openmic, tmp_path: Path, command: list[str]) -> None:
    outcome = openmic(*command)
    assert outcome.code == 2
    assert outcome.out == ""
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []
