"""The student on a vLLM server that takes in adapters while it runs."""

import asyncio
import copy
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from openmic.core.records import AdapterRef, Generation, GenerationRequest, StudentSampling
from openmic.core.student_settings import StudentSettings
from openmic.store import Adapter, Dialogue, Store, Turn
from openmic.training.adapters.adapters import commit_adapter
from openmic.training.engines.choose import make_engine
from openmic.training.engines.conformance import messages
from openmic.training.student.student import load_student

from ..whole_run import WholeRun, whole_run, write_config
from .serving import WEIGHTS, RealServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SENTENCES = (
    "The bus was late again.",
    "My brother forgot our mother's birthday.",
    "I bought a new umbrella this morning.",
    "Soup.",
    "The printer stopped working ten minutes before the meeting.",
    "She asked her boss for more money.",
)
VERSIONS = (0, 1, 2, 3)
STRENGTH = 0.1
"""How wide the weights of adapters are drawn. Those of a short training often leave every greedy text as it was, in all
versions, and equal texts would prove nothing; at 0.03 some versions still agree on half of the sentences."""
GREEDY = StudentSampling(temperature=0.0, max_tokens=16)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[AdapterRef]:
    """Versions 1 to 3: random weights, large enough that each says something else."""
    model = load_student(WEIGHTS, device="cpu").model
    root = tmp_path_factory.mktemp("adapters")
    return [commit_adapter(_random(model, version), root, version, {"parent": 0}) for version in VERSIONS[1:]]


def _random(model: Any, seed: int) -> Any:
    import torch
    from peft import LoraConfig, TaskType, get_peft_model

    torch.manual_seed(seed)
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type=TaskType.CAUSAL_LM)
    adapted = get_peft_model(copy.deepcopy(model), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape) * STRENGTH)
    return adapted.eval()


def served_by(server: RealServer) -> StudentSettings:
    endpoint = {"base_url": server.base_url, "server": "vllm", "timeout_s": 180}
    return StudentSettings.model_validate({"model": WEIGHTS, "engine": "endpoint", "endpoint": endpoint})


def texts(settings: StudentSettings, adapters: Sequence[AdapterRef]) -> list[Generation]:
    """What an engine writes without sampling, sentence by sentence and version by version."""
    requests = [
        GenerationRequest(f"{version}-{number}", messages(text), GREEDY, 0, version)
        for version in VERSIONS
        for number, text in enumerate(SENTENCES)
    ]

    async def ask() -> list[Generation]:
        engine = make_engine(settings, threads=1)
        try:
            for ref in adapters:
                await engine.load(ref)
            return list(await asyncio.gather(*(engine.generate(request) for request in requests)))
        finally:
            await engine.close()

    return asyncio.run(ask())


def test_greedy_texts_are_those_of_the_static_engine_adapter_by_adapter(
    lora_server: RealServer, adapters: list[AdapterRef]
) -> None:
    expected = texts(StudentSettings(model=WEIGHTS, engine="static", device="cpu"), adapters)
    written = [[each.text for each in expected if each.adapter_version == version] for version in VERSIONS]
    for one, other in combinations(written, 2):
        assert sum(map(str.__ne__, one, other)) > len(SENTENCES) // 2, "the adapters do not differ enough"
    found = texts(served_by(lora_server), adapters)
    assert [each.token_ids for each in found] == [each.token_ids for each in expected]
    assert [each.text for each in found] == [each.text for each in expected]
    assert [each.finish_reason for each in found] == [each.finish_reason for each in expected]


def test_an_adapter_is_unloaded_and_loaded_again(lora_server: RealServer, adapters: list[AdapterRef]) -> None:
    request = GenerationRequest("r", messages(SENTENCES[0]), GREEDY, 0, 2)

    async def ask() -> tuple[str, str]:
        engine = make_engine(served_by(lora_server), threads=1)
        try:
            await engine.load(adapters[1])
            before = await engine.generate(request)
            await engine.unload(2)
            await engine.load(adapters[1])
            return before.text, (await engine.generate(request)).text
        finally:
            await engine.close()

    before, after = asyncio.run(ask())
    assert before == after
    assert 'POST /v1/unload_lora_adapter HTTP/1.1" 200' in lora_server.said


@pytest.fixture(scope="module")
def campaign(lora_server: RealServer, tmp_path_factory: pytest.TempPathFactory, ray_running: None) -> WholeRun:
    """A campaign with the student there, and the simulated cast here."""
    config = write_config(
        tmp_path_factory.mktemp("student"),
        Path(WEIGHTS),
        inputs={"limit": 24},
        student={
            "engine": "endpoint",
            "endpoint": {"base_url": lora_server.base_url, "server": "vllm", "timeout_s": 180},
            "sampling": {"max_tokens": 24},
        },
        imitation={"inputs": 4},
        dialogue={"inputs": 4, "candidates": 2},
        training={"lora": {"r": 8}},
        evaluation={"test_inputs": 2, "dev_inputs": 2},
    )
    return whole_run(config, here=True)


def test_a_campaign_whose_student_is_served_there_ends_with_adapters_that_were_loaded_there(
    lora_server: RealServer, campaign: WholeRun
) -> None:
    assert campaign.code == 0, campaign.stderr
    with Store.open_readonly(campaign.store) as store:
        made = [row.version for row in store.select(Adapter)]
        failed = store.count(Dialogue, status="failed")
        workers = {turn.worker for turn in store.select(Turn, agent="student")}
    assert sorted(made) == [0, 1, 2]
    assert failed == 0
    assert workers == {lora_server.base_url}
    assert lora_server.said.count('POST /v1/load_lora_adapter HTTP/1.1" 200') >= 2
