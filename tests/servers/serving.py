"""Starting one of the servers on a free port, waiting until it answers, and ending all of its processes."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from openmic.training.student.packaged_weights import packaged_file, packaged_folder

from .environments import ENVIRONMENTS

WEIGHTS = "smollm2-135m-instruct"
PATIENCE_S = 300.0
"""vLLM takes 40 to 75 s on two quiet cores."""
ENDING_S = 20.0
ANSWERED = re.compile(r'"POST /v1/chat/completions HTTP/1\.1" 200|print_timing:.*total time =')
"""What a server logs of a reply: its status or, where it logs no requests (llama.cpp), how long it took."""


@dataclass(frozen=True)
class RealServer:
    """A server that runs."""

    name: str
    port: int
    model: str
    """What it calls the model."""
    log: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def answered(self) -> int:
        """How many chat completions it says it has answered."""
        return len(ANSWERED.findall(self.said))


@dataclass(frozen=True)
class _Start:
    command: list[str]
    environment: dict[str, str]
    model: str


@contextmanager
def running(name: str, folder: Path, *, adapters: bool = False) -> Iterator[RealServer]:
    """A server of the packaged weights, whose log goes to the folder; with `adapters` vLLM takes in LoRA as it runs.

    All its processes are one group, and end together: vLLM's API process, killed alone, leaves its workers behind.
    """
    port = _free_port()
    start = _STARTS[name](ENVIRONMENTS[name].ensure(), port)
    if adapters:
        start.command.extend(("--enable-lora", "--max-lora-rank", "16", "--max-loras", "8"))
    server = RealServer(name, port, start.model, folder / f"{name}.log")
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            start.command,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", **start.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(server, process)
        yield server
    finally:
        _end(process)


def group_is_there(pid: int) -> bool:
    """Whether any process is left of a group."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait(server: RealServer, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{server.name} ended with {process.returncode}: {server.said[-3000:]}"
        with suppress(httpx2.HTTPError):
            if httpx2.get(f"{server.base_url}/models", timeout=5).is_success:
                return
        time.sleep(0.5)
    raise AssertionError(f"{server.name} was not up in {PATIENCE_S:.0f} s: {server.said[-3000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the group to end, then make it end. Returns once nothing is left of it."""
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        deadline = time.monotonic() + ENDING_S
        while time.monotonic() < deadline:
            process.poll()  # the first of the group is our child, and is there until it was waited for
            if not group_is_there(process.pid):
                return
            time.sleep(0.2)
    raise AssertionError(f"processes of group {process.pid} do not end")


def _vllm(folder: Path, port: int) -> _Start:
    return _Start(
        [
            *(str(folder / "bin" / "vllm"), "serve", str(packaged_folder(WEIGHTS))),
            *("--served-model-name", WEIGHTS, "--host", "127.0.0.1", "--port", str(port)),
            *("--dtype", "float32", "--max-model-len", "2048", "--max-num-seqs", "16", "--enforce-eager"),
        ],
        {
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",  # it compiles with a ninja of its own
            "LD_PRELOAD": str(folder / "lib" / "libiomp5.so"),
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_CPU_KVCACHE_SPACE": "2",
            # One thread: two that wait for each other are many times slower wherever anything else wants the cores.
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            "VLLM_NO_USAGE_STATS": "1",
        },
        WEIGHTS,
    )


def _llama_cpp(folder: Path, port: int) -> _Start:
    # Flash attention and repacked weights killed it without a word on a machine of two cores.
    careful = ("--flash-attn", "off", "--no-warmup", "--no-repack")
    limits = ("--ctx-size", "8192", "--parallel", "4", "--threads", "1")
    return _Start(
        [
            *(str(folder / "bin" / "llama-server"), "--model", str(packaged_file(WEIGHTS)), "--alias", WEIGHTS),
            *("--host", "127.0.0.1", "--port", str(port), *limits, *careful),
        ],
        {},
        WEIGHTS,
    )


def _transformers(folder: Path, port: int) -> _Start:
    hub = folder / "huggingface"
    (hub / "hub").mkdir(parents=True, exist_ok=True)  # without it the list of models is an error
    return _Start(
        [str(folder / "bin" / "transformers"), "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        {"HF_HOME": str(hub), "OMP_NUM_THREADS": "1"},
        str(packaged_folder(WEIGHTS)),
    )


_STARTS: dict[str, Callable[[Path, int], _Start]] = {
    "vllm": _vllm,
    "llama.cpp": _llama_cpp,
    "transformers": _transformers,
}


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
