"""Drafts scored by a real vLLM: the numbers are the model's own, and tokens of another student are refused."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from openmic.agents.draft_logprobs import DraftLogprobs
from openmic.agents.endpoints.client import OpenAIClient
from openmic.agents.tasks.task import load_task
from openmic.core.config import EndpointSettings, RunConfig
from openmic.core.errors import ConfigError, EndpointSetupError
from openmic.core.records import Message
from openmic.graph.preflight.drafts import check_teacher_tokens
from openmic.training.student.student import load_student
from openmic.training.student.tokenization import encode_completion, render_prompt

from .conftest import wanted
from .serving import WEIGHTS, RealServer, running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    wanted("vllm")
    with running("vllm", tmp_path_factory.mktemp("server")) as server:
        yield server


def opd(vllm: RealServer, student: str) -> RunConfig:
    return RunConfig.model_validate(
        {
            "inputs": {"path": "inputs.txt"},
            "training": {"objective": "opd"},
            "student": {"model": student},
            "cast": {"teacher": {"model": vllm.model, "base_url": vllm.base_url}},
        }
    )


def test_its_tokens_are_those_of_its_own_family_alone(vllm: RealServer, tiny_causal: Path) -> None:
    assert check_teacher_tokens(opd(vllm, WEIGHTS)) == []
    with pytest.raises((ConfigError, EndpointSetupError), match="tokens"):
        check_teacher_tokens(opd(vllm, str(tiny_causal)))


def test_its_numbers_are_those_of_the_same_weights_here(vllm: RealServer) -> None:
    student = load_student(WEIGHTS, device="cpu")
    messages = [Message(role="user", content="Say something about a kettle, 水壶 and a 🙂.")]
    prompt, said = render_prompt(student, messages), encode_completion(student, "Le café naïf 🙂, and so it goes.")
    template = load_task("humor").template("student", "draft")

    async def ask() -> tuple[float, ...]:
        client = OpenAIClient(EndpointSettings(model=vllm.model, timeout_s=120), base_url=vllm.base_url)
        try:
            return (await DraftLogprobs(client, vllm.model, 7).of(messages, "…", prompt, said, template))[1]
        finally:
            await client.close()

    found = asyncio.run(ask())
    with torch.no_grad():
        logits = student.model(input_ids=torch.tensor([[*prompt, *said]])).logits[0, len(prompt) - 1 : -1].float()
    expected = torch.log_softmax(logits, -1).gather(-1, torch.tensor(said).unsqueeze(-1)).squeeze(-1)
    assert list(found) == pytest.approx(expected.tolist(), abs=0.02)
