"""A vLLM server of one's own: its start, its end, and what it said last."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import gethostname

import openai

from ....core.endpoints.proxies import connecting
from ....core.errors import ConfigError
from ....core.files.private import private_file, private_folder
from ....core.files.scratch import scratch_folder
from ....core.student_settings import LARGEST_LORA_RANK, StudentSettings, StudentWeights
from ....core.training_settings import LoRASettings
from ...adapters.idle import idle_adapter
from ...student.fingerprint import ANY_FILES, KnownFiles
from ...student.student import source_of
from ...student.weights import refuse_pickled
from . import guard
from .installed import installed_vllm

BASE = "base"
"""What the server calls the student without an adapter."""
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, LARGEST_LORA_RANK)
"""The largest ranks that vLLM can be told."""
_IDLE = "base-as-adapter"
_LOOK_S = 0.2
_ENDING_S = 15.0
_TAIL = 4
"""Lines of the log that are quoted."""
_LONGEST = 200
"""Characters of each."""
MAKE_ROOM = (
    "make room there, change student.vllm.gpu_memory_utilization, lower student.max_batch or student.vllm.max_loras, "
    "give student.vllm.arguments a smaller --max-model-len, or spread it by student.vllm.tensor_parallel_size"
)
"""What helps a server that has too little memory."""


class VLLMServer:
    """A server of the student, which listens on loopback and takes in adapters while it runs.

    All of its processes end with this one, however that ends. It can be started again, at the same address.

    Raises:
        ConfigError: there is no vLLM, or it cannot keep weights in so few bits.
        StudentError: the weights are pickled, which nobody asked for.
    """

    def __init__(
        self, settings: StudentSettings, *, threads: int, folder: Path | None = None, known: KnownFiles = ANY_FILES
    ) -> None:
        """Starts nothing yet.

        Args:
            settings: The student's.
            threads: CPU threads that it may use, where it computes on a CPU.
            folder: Where its log goes, made if need be. None: the folder for temporary files.
            known: The files that the weights are, of which it reads them anew each time it is started.
        """
        self._vllm = installed_vllm(settings.vllm)
        if not settings.pickled_weights:
            refuse_pickled(settings.model, Path(source_of(settings.model)))
        if settings.quantization is not None and self._vllm.for_cpus:
            raise ConfigError(
                f"student.quantization={settings.quantization}: vLLM {self._vllm.version} was built for CPUs, where it "
                "has no weights in 4 bits; leave student.quantization out, or set student.engine to static"
            )
        self._settings, self._threads, self._known = settings, threads, known
        self._port = _free_port()
        self.key = secrets.token_urlsafe()
        """What it wants as a key."""
        self.base_url = f"http://127.0.0.1:{self._port}/v1"
        place = Path(tempfile.gettempdir()) if folder is None else private_folder(folder)
        self.log = place / f"vllm-{gethostname()}-{os.getpid()}-{self._port}.log"
        """What it says, of all its starts."""
        self._stack = ExitStack()
        self._idle: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._up = False

    @property
    def base_model(self) -> str:
        """The name to ask for the student by that has no adapter.

        On CPUs vLLM answers what asks for no adapter, in a batch with what asks for one, with the adapter in its last
        place. So what asks for none is given one there that changes nothing.
        """
        return _IDLE if self._vllm.for_cpus else BASE

    @property
    def running(self) -> bool:
        """Whether it has started and has not ended since."""
        return self._up and self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, also anew, and wait until it answers.

        Raises:
            ConfigError: it ended before that, or it takes too long.
            StudentChangedError: the weights' files are others than they were.
        """
        self._end()
        self._known.check(self._settings)
        began = self.log.stat().st_size if self.log.exists() else 0
        with private_file(self.log).open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own guard, and the interpreter that the user named
                [sys.executable, "-E", "-S", guard.__file__, str(os.getpid()), *self._command()],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(self._process, began)
        except BaseException:
            self._end()
            raise
        self._known.check(self._settings)
        self._up = True

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended, or does so soon."""
        with suppress(subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.wait(seconds)
        return not self.running

    def close(self) -> None:
        """End it. May be called again."""
        self._end()
        self._stack.close()
        self._idle = None

    def last_words(self, since: int = 0) -> str:
        """The end of its log: lines that tell of an error, where there are any."""
        with suppress(OSError), self.log.open("rb") as log:
            log.seek(since)
            lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
            telling = [line for line in lines if "Error" in line or "error" in line] or lines
            return " / ".join(line[-_LONGEST:] for line in dict.fromkeys(telling[-_TAIL:])) or "it said nothing"
        return "its log cannot be read"

    def lacked_memory(self, since: int = 0) -> bool:
        """Whether what it said last tells of memory. It has no other words in common for that."""
        said = self.last_words(since).lower()
        return "memory" in said or "bad_alloc" in said

    def _command(self) -> list[str]:
        vllm = self._settings.vllm
        rank = next(each for each in RANKS if each >= (vllm.max_lora_rank or LoRASettings().r))
        options: dict[str, object] = {
            "served-model-name": BASE,
            "host": "127.0.0.1",
            "port": self._port,
            "dtype": _dtype(self._settings, for_cpus=self._vllm.for_cpus),
            "max-num-seqs": self._settings.max_batch,
            "max-loras": vllm.max_loras,
            "max-lora-rank": rank,
            "tensor-parallel-size": vllm.tensor_parallel_size,
            "gpu-memory-utilization": vllm.gpu_memory_utilization,
        }
        flags = ["--enable-lora", "--enable-prefix-caching"]
        if self._vllm.for_cpus:
            options |= {"max-loras": vllm.max_loras + 1, "lora-modules": f"{_IDLE}={self._idle_folder()}"}
            flags.append("--enforce-eager")  # compiling takes longer than it saves
        weights = self._settings
        if weights.revision is not None:
            options |= {f"{kind}revision": weights.revision for kind in ("", "tokenizer-", "code-")}
        if weights.trust_remote_code:
            flags.append("--trust-remote-code")
        if weights.quantization is not None:
            options["quantization"] = "bitsandbytes"  # which has a way of its own to load
        elif not weights.pickled_weights:
            options["load-format"] = "safetensors"  # it would else take pickled ones where there are no others
        named = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [*self._vllm.command, source_of(self._settings.model), *flags, *named, *vllm.arguments]

    def _environment(self) -> dict[str, str]:
        found = self._vllm.environment(self._threads)
        if self._settings.device == "cpu":
            found["CUDA_VISIBLE_DEVICES"] = ""
        elif self._settings.device.startswith("cuda:"):
            visible = found["CUDA_VISIBLE_DEVICES"].split(",") if found.get("CUDA_VISIBLE_DEVICES") else None
            index = int(self._settings.device.removeprefix("cuda:"))
            found["CUDA_VISIBLE_DEVICES"] = str(index) if visible is None else ",".join(visible[index : index + 1])
        own = {"VLLM_API_KEY": self.key, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
        return found | own | {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}

    def _idle_folder(self) -> str:
        if self._idle is None:
            place = self._stack.enter_context(scratch_folder("vllm"))
            self._idle = str(idle_adapter(self._settings, LoRASettings(r=1), place).uri)
        return self._idle

    def _wait(self, process: "subprocess.Popen[bytes]", began: int) -> None:
        patience = self._settings.vllm.start_timeout_s
        deadline = time.monotonic() + patience
        http = openai.DefaultHttpxClient(**connecting(self.base_url))
        client = openai.OpenAI(base_url=self.base_url, api_key=self.key, max_retries=0, timeout=5.0, http_client=http)
        with client:
            while process.poll() is None:
                with suppress(openai.OpenAIError):
                    client.models.list()
                    return
                if time.monotonic() > deadline:
                    raise ConfigError(
                        f"student.engine=vllm: vLLM {self._vllm.version} was not up after {patience:g} s: "
                        f"{self.last_words(began)}; see {self.log}, or raise student.vllm.start_timeout_s"
                    )
                time.sleep(_LOOK_S)
        advice = MAKE_ROOM if self.lacked_memory(began) else "set student.engine to static"
        raise ConfigError(
            f"student.engine=vllm: vLLM {self._vllm.version} does not start: {self.last_words(began)}; see {self.log}, "
            f"or {advice}"
        )

    def _end(self) -> None:
        """End what is there of it. Returns once nothing is."""
        process, self._process, self._up = self._process, None, False
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_ENDING_S)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # where the guard itself was killed
        process.wait()


def _dtype(weights: StudentWeights, *, for_cpus: bool) -> str:
    """`resolve_dtype`, in vLLM's words."""
    if weights.dtype != "auto":
        return weights.dtype
    return "float32" if for_cpus else "bfloat16"


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
