"""Trying a vLLM server before anybody is paid: it starts, answers, and takes an adapter that does nothing."""

from functools import partial

from ....core.concurrency import run_to_end
from ....core.errors import AdapterError, ConfigError, GenerationError, StudentLostError
from ....core.files.scratch import scratch_folder
from ....core.records import AdapterRef
from ....core.student_settings import StudentSettings
from ....core.training_settings import LoRASettings
from ...adapters.idle import idle_adapter
from ..engine import plain_request
from .engine import VLLMEngine
from .server import VLLMServer


def try_vllm(settings: StudentSettings, lora: LoRASettings, threads: int) -> None:
    """Start a server as the student's process will, ask for a token with an adapter and without, and end it.

    Args:
        settings: The student's.
        lora: What the adapter is like.
        threads: As for `make_engine`.

    Raises:
        ConfigError: there is no vLLM, or it does not start, takes no such adapters, or does not answer.
        StudentError: as `try_student`.
    """
    server = VLLMServer(settings, threads=threads)

    async def ask(ref: AdapterRef) -> None:
        engine = VLLMEngine(settings, server, worker="preflight")
        try:
            await engine.generate(plain_request("preflight", 0))
            await engine.load(ref)
            await engine.generate(plain_request("preflight", ref.version))
        except (AdapterError, GenerationError, StudentLostError) as error:
            raise ConfigError(f"student.engine=vllm: {error}; set student.engine to static, or mend it") from error
        finally:
            await engine.close()

    with scratch_folder("preflight") as place:
        run_to_end(partial(ask, idle_adapter(settings, lora, place)))
    server.log.unlink()
