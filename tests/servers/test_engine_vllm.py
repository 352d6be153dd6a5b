"""The engine `vllm` on a real vLLM that computes on a CPU: one server for all tests but those that start their own."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import httpx2
import pytest

from openmic.core.records import AdapterRef, GenerationRequest
from openmic.core.student_settings import StudentSettings
from openmic.store import Adapter, Dialogue, Store
from openmic.testing import EngineConformance
from openmic.training.engines.conformance import TEXTS, BuildEngine, ask, messages, request, scenario
from openmic.training.engines.engine import StudentEngine
from openmic.training.engines.static import BatchGenerator
from openmic.training.engines.tiny_student import TinyStudent, tiny_student
from openmic.training.engines.vllm.engine import VLLMEngine
from openmic.training.engines.vllm.server import BASE, VLLMServer
from openmic.training.pool.pool import StudentPool
from openmic.training.student.tokenization import render_prompt

from ..waiting import until, wait_until
from ..whole_run import whole_run, write_config
from .conftest import wanted
from .environments import ENVIRONMENTS
from .serving import group_is_there

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HITS = "vllm:prefix_cache_hits_total"


class Kept(VLLMServer):
    """A server that engines share: what closes one of them leaves it running."""

    def close(self) -> None:
        pass

    def end(self) -> None:
        super().close()

    def processes(self, what: str = "") -> list[int]:
        """Its processes, or those whose command line says what."""
        assert self._process is not None
        found = subprocess.run(
            ["pgrep", "-g", str(self._process.pid), "-f", what or "."], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in found.stdout.split()]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> TinyStudent:
    """With heads as wide as vLLM has kernels for."""
    wanted("vllm")
    return tiny_student(tmp_path_factory.getbasetemp() / "tiny-vllm", head_dim=32)


def settings_of(tiny: TinyStudent) -> StudentSettings:
    vllm = {
        "python": ENVIRONMENTS["vllm"].ensure() / "bin" / "python",
        "gpu_memory_utilization": 0.1,
        "arguments": ["--kv-cache-memory-bytes", "100M", "--block-size", "32"],
    }
    return StudentSettings.model_validate(tiny.settings.model_dump() | {"engine": "vllm", "vllm": vllm})


@pytest.fixture(scope="module")
def kept(wide: TinyStudent, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    server = Kept(settings_of(wide), threads=1, folder=tmp_path_factory.mktemp("run"))
    try:
        yield server
    finally:
        server.end()


class TestVLLM(EngineConformance):
    @pytest.fixture
    def tiny(self, wide: TinyStudent) -> TinyStudent:
        return wide

    @pytest.fixture
    def build(self, kept: Kept, wide: TinyStudent) -> BuildEngine:
        return lambda: engine_of(kept, wide)


def engine_of(kept: Kept, wide: TinyStudent) -> VLLMEngine:
    return VLLMEngine(settings_of(wide), kept, worker="test")


def greedy(text: str, version: int) -> GenerationRequest:
    return request(text, temperature=0.0, max_tokens=16, adapter=version, id=f"{version} {text[:5]}")


@pytest.fixture(scope="module")
def expected(wide: TinyStudent) -> dict[int, list[tuple[int, ...]]]:
    """What `static` says in float64 without sampling, version by version; each says something else."""
    batches = BatchGenerator(wide.fresh(), max_batch=16)
    for ref in wide.adapters[:3]:
        batches.load(ref)
    found = {
        version: [each.token_ids for each in batches.generate([greedy(text, version) for text in TEXTS])]
        for version in range(4)
    }
    for one, other in combinations(found.values(), 2):
        assert all(map(tuple.__ne__, one, other))
    return found


def plainly(kept: Kept, wide: TinyStudent, text: str) -> tuple[int, ...]:
    """What vLLM itself says without an adapter, asked as anybody would."""
    body = {
        "model": BASE,
        "prompt": render_prompt(wide.student, messages(text)),
        "max_tokens": 16,
        "temperature": 0,
        "stop_token_ids": list(wide.student.ends),
        "return_token_ids": True,
    }
    headers = {"Authorization": f"Bearer {kept.key}"}
    answer = httpx2.post(f"{kept.base_url}/completions", json=body, headers=headers, timeout=300)
    return tuple(answer.raise_for_status().json()["choices"][0]["token_ids"])


def test_the_base_model_is_itself_beside_adapters_that_fill_every_place(
    kept: Kept, wide: TinyStudent, expected: dict[int, list[tuple[int, ...]]]
) -> None:
    @scenario(lambda: engine_of(kept, wide), *wide.adapters)
    async def fill(engine: StudentEngine) -> None:
        await ask(engine, [request(adapter=version) for version in engine.loaded])

    @scenario(lambda: engine_of(kept, wide), *wide.adapters[:3])
    async def test(engine: StudentEngine) -> None:
        asked = [greedy(text, version) for text in TEXTS for version in (1, 0, 2, 3)]
        for _ in range(2):
            for found in await ask(engine, asked):
                version, place = found.adapter_version, [text[:5] for text in TEXTS].index(found.request_id[2:])
                assert found.token_ids == expected[version][place]
        # What would be said without the adapter of zeros: once this holds no more, nothing needs one.
        busy = [asyncio.create_task(engine.generate(request(temperature=0.0, max_tokens=400, adapter=1)))]
        await asyncio.sleep(0)
        texts = [await asyncio.to_thread(plainly, kept, wide, text) for text in TEXTS]
        assert texts != expected[0]
        await asyncio.gather(*busy)


def hits(kept: Kept) -> float:
    """Tokens that vLLM took from its prefix cache."""
    page = httpx2.get(f"{kept.base_url.removesuffix('/v1')}/metrics", timeout=60).raise_for_status().text
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if line.startswith(HITS))


def test_what_one_adapter_read_is_never_taken_for_anothers_of_the_same_version(
    kept: Kept, wide: TinyStudent, expected: dict[int, list[tuple[int, ...]]]
) -> None:
    """Two runs' adapters of one version, one after the other and side by side, some of unknown hash."""
    one, other = (AdapterRef(1, ref.uri) for ref in wide.adapters[:2])
    for ref, version in ((one, 1), (other, 2), (wide.adapters[0], 1)):

        @scenario(lambda: engine_of(kept, wide), ref)
        async def test(engine: StudentEngine, version: int = version) -> None:
            before = hits(kept)
            for _ in range(2):
                found = [await engine.generate(greedy(text, 1)) for text in TEXTS]
                assert [each.token_ids for each in found] == expected[version]
            assert hits(kept) > before


def test_a_server_that_dies_under_load_is_started_again_and_nothing_is_lost(
    kept: Kept, wide: TinyStudent, expected: dict[int, list[tuple[int, ...]]], caplog: pytest.LogCaptureFixture
) -> None:
    @scenario(lambda: engine_of(kept, wide), *wide.adapters[:2])
    async def test(engine: StudentEngine) -> None:
        address, pid = kept.base_url, kept.processes()[0]
        asked = [greedy(text, version) for version in (0, 1, 2) for text in TEXTS]
        endless = [asyncio.create_task(engine.generate(request(temperature=0.0, max_tokens=600))) for _ in range(2)]
        running = [asyncio.create_task(engine.generate(each)) for each in asked * 2]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for part in kept.processes("VLLM::EngineCore"):
            os.kill(part, signal.SIGKILL)
        found = await asyncio.gather(*running)
        assert [each.token_ids for each in found] == [ids for version in (0, 1, 2) for ids in expected[version]] * 2
        await asyncio.gather(*endless)
        assert engine.stats.restarts == 1
        assert kept.base_url == address
        assert not group_is_there(pid)

    [warning] = [record.getMessage() for record in caplog.records if "vLLM server" in record.getMessage()]
    assert "is started again, the 1. time; see" in warning
    assert str(kept.log) in warning
    assert kept.log.stat().st_mode & 0o077 == 0
    assert kept.key not in kept.log.read_text()


def test_an_actor_that_is_killed_leaves_no_server_and_its_next_one_has_the_adapter(
    kept: Kept, wide: TinyStudent, expected: dict[int, list[tuple[int, ...]]], tmp_path: Path, ray_running: None
) -> None:
    kept.end()  # two servers at once take twice as long

    async def scenario() -> None:
        pool = StudentPool(settings_of(wide), threads=1, folder=tmp_path)
        try:
            await pool.load_adapter(wide.adapters[0])
            pool.promote(1)
            before = await pool.generate(greedy(TEXTS[0], 1))
            assert before.token_ids == expected[1][0]
            actor = int(before.worker.rpartition("-")[2])
            [server] = groups_of(actor)
            os.kill(actor, signal.SIGKILL)
            await until(lambda: not group_is_there(server), 60)
            after = await pool.generate(greedy(TEXTS[0], 1))
            assert after.token_ids == before.token_ids
            assert after.worker != before.worker
            [second] = groups_of(int(after.worker.rpartition("-")[2]))
            assert len(logs_in(tmp_path)) == 2
        finally:
            pool.close()
        await until(lambda: not group_is_there(second), 60)

    asyncio.run(scenario())


def logs_in(folder: Path) -> list[Path]:
    return list(folder.glob("vllm-*.log"))


def groups_of(parent: int) -> list[int]:
    """The groups that a process's guards lead."""
    found = subprocess.run(["pgrep", "-P", str(parent), "-f", "guard.py"], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def test_a_run_tries_it_first_and_ends_with_adapters_that_it_used(
    kept: Kept, wide: TinyStudent, tmp_path: Path, ray_running: None
) -> None:
    kept.end()
    settings = settings_of(wide)
    config = write_config(
        tmp_path,
        wide.folder,
        student={"engine": "vllm", "vllm": settings.vllm.model_dump(mode="json"), "sampling": {"max_tokens": 16}},
        training={"lora": {"r": 4}},
    )
    run = whole_run(config, here=True)
    assert run.code == 0, run.stderr
    with Store.open_readonly(run.store) as store:
        assert store.count(Adapter) >= 2
        assert store.count(Dialogue, status="failed") == 0
    [folder] = run.home.glob("runs/*")
    [log] = logs_in(folder)
    assert "Loaded new LoRA adapter: name 'student-v1-" in log.read_text()
    wait_until(lambda: not groups_of(os.getpid()), 60)  # of the server that preflight started
