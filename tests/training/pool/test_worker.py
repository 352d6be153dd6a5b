import asyncio
import os
from pathlib import Path
from socket import gethostname

import pytest

from openmic.core.config import StudentSettings
from openmic.core.errors import AdapterError, GenerationError, StudentError
from openmic.core.records import AdapterRef
from openmic.training.pool.worker import StudentWorker

from ..factories import request


def settings_of(folder: Path) -> StudentSettings:
    return StudentSettings(model=str(folder), device="cpu", batch_wait_ms=1.0)


def test_a_worker_hosts_an_engine_with_the_adapters_it_is_given(tiny_causal: Path, adapters: list[AdapterRef]) -> None:
    async def scenario() -> None:
        worker = StudentWorker(settings_of(tiny_causal), 1, adapters[:2])
        assert await worker.ready() == 2
        assert await worker.load_adapter(adapters[2]) == await worker.ready() == 3
        assert await worker.load_adapter(adapters[0], False) == 3
        generation = await worker.generate(request(adapter=1))
        assert (generation.adapter_version, generation.worker) == (1, f"{gethostname()}/pid-{os.getpid()}")
        assert (await worker.stats()).answered == 1
        await worker.unload_adapter(1)
        with pytest.raises(GenerationError, match="adapter version 1 is not loaded"):
            await worker.generate(request(adapter=1))
        await worker.close()
        with pytest.raises(GenerationError, match="closed"):
            await worker.generate(request())

    asyncio.run(scenario())


def test_a_worker_that_cannot_begin_says_why(tiny_causal: Path, misfit: AdapterRef, tmp_path: Path) -> None:
    with pytest.raises(StudentError, match="is not a folder"):
        StudentWorker(settings_of(tmp_path / "nowhere"), 1, [])
    with pytest.raises(AdapterError, match="adapter version 9 does not load"):
        StudentWorker(settings_of(tiny_causal), 1, [misfit])
