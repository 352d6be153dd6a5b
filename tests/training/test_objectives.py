import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from openmic.core.config import ObjectiveSettings, TrainingSettings
from openmic.training.logprobs import completion_logprobs
from openmic.training.objectives import OBJECTIVES, RowLogprobs
from openmic.training.tokenization import collate, encode_pair

from .asking import TEXTS, messages
from .conftest import BuildStudent

dpo, sft = OBJECTIVES["dpo"], OBJECTIVES["sft"]
FORMULA = pytest.mark.parametrize(
    ("beta", "eps", "nll"), [(0.1, 0.0, 0.0), (0.5, 0.2, 0.0), (0.1, 0.0, 1.0), (0.3, 0.1, 0.25)]
)


def rows(seed: int, count: int = 6, width: int = 5) -> RowLogprobs:
    """Rows as a model gives them: of several lengths, zero outside the mask; double precision for differences."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, width + 1, (count,), generator=generator)
    mask = (torch.arange(width) < lengths.unsqueeze(1)).long()
    token = -3 * torch.rand(count, width, generator=generator, dtype=torch.float64) * mask
    return RowLogprobs(token, mask)


def reference_of(seed: int, count: int = 6) -> torch.Tensor:
    return -9 * torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dpo_in_numpy(
    token: np.ndarray, mask: np.ndarray, reference: np.ndarray, beta: float, eps: float, nll: float
) -> float:
    """Rafailov et al. (2023), eq. 7, with Mitchell's label smoothing and the chosen text's mean token likelihood."""
    pairs = len(token) // 2
    loss = 0.0
    for i in range(pairs):
        chosen, rejected = token[i].sum(), token[pairs + i].sum()
        logits = (chosen - rejected) - (reference[i] - reference[pairs + i])
        right = 1 / (1 + np.exp(-beta * logits))
        loss += -(1 - eps) * np.log(right) - eps * np.log(1 - right)
        loss += nll * -(chosen / mask[i].sum())
    return float(loss / pairs)


def differences(loss: Callable[[np.ndarray], float], at: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Central differences of a loss with respect to each token's log-probability."""
    gradient = np.zeros_like(at)
    for place in np.argwhere(mask):
        step = np.zeros_like(at)
        step[tuple(place)] = 1e-5
        gradient[tuple(place)] = (loss(at + step) - loss(at - step)) / 2e-5
    return gradient


def test_every_objective_of_the_configuration_exists() -> None:
    assert set(get_args(TrainingSettings.model_fields["objective"].annotation)) == set(OBJECTIVES)


def test_sft_equals_cross_entropy_on_completion_tokens() -> None:
    torch.manual_seed(0)
    logits, ids = torch.randn(4, 5, 11), torch.randint(0, 11, (4, 5))
    mask = rows(seed=1, count=4).mask
    token = torch.log_softmax(logits, -1).gather(-1, ids.unsqueeze(-1)).squeeze(-1) * mask
    expected = cross_entropy(logits[mask.bool()], ids[mask.bool()])
    loss = sft(RowLogprobs(token, mask), None, ObjectiveSettings())
    assert loss.value.item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5", "bart"])
def test_sft_equals_the_loss_of_transformers(student: BuildStudent, name: str) -> None:
    one = student(name)
    pair = encode_pair(one, messages(TEXTS[1]), "Late? It was posthumous.")
    batch = collate(one, [pair])
    prompt, completion = list(pair.prompt), list(pair.completion)
    with torch.no_grad():
        if one.kind == "causal":
            labels = torch.tensor([[-100] * len(prompt) + completion])
            expected = one.model(input_ids=torch.tensor([prompt + completion]), labels=labels).loss
        else:
            expected = one.model(input_ids=torch.tensor([prompt]), labels=torch.tensor([completion])).loss
        found = RowLogprobs(completion_logprobs(one, one.model, batch), batch.completion_mask)
    assert sft(found, None, ObjectiveSettings()).value.item() == pytest.approx(expected.item(), abs=1e-5)


def test_sft_weighs_every_token_alike_and_not_every_row() -> None:
    token = torch.tensor([[-1.0, 0.0, 0.0], [-2.0, -2.0, -2.0]])
    mask = torch.tensor([[1, 0, 0], [1, 1, 1]])
    assert sft(RowLogprobs(token, mask), None, ObjectiveSettings()).value.item() == pytest.approx(7 / 4)


@FORMULA
def test_dpo_equals_its_formula(beta: float, eps: float, nll: float) -> None:
    given, reference = rows(seed=2), reference_of(seed=3)
    settings = ObjectiveSettings(beta=beta, label_smoothing=eps, nll_weight=nll)
    expected = dpo_in_numpy(given.token.numpy(), given.mask.numpy(), reference.numpy(), beta, eps, nll)
    assert dpo(given, reference, settings).value.item() == pytest.approx(expected, rel=1e-9)


@FORMULA
def test_the_gradient_of_dpo_equals_the_differences_of_its_formula(beta: float, eps: float, nll: float) -> None:
    given, reference = rows(seed=4), reference_of(seed=5)
    token = given.token.clone().requires_grad_()
    settings = ObjectiveSettings(beta=beta, label_smoothing=eps, nll_weight=nll)
    dpo(RowLogprobs(token * given.mask, given.mask), reference, settings).value.backward()
    mask, totals = given.mask.numpy(), reference.numpy()
    expected = differences(lambda x: dpo_in_numpy(x, mask, totals, beta, eps, nll), given.token.numpy(), mask)
    assert token.grad is not None
    assert token.grad.numpy() == pytest.approx(expected, abs=1e-7)


def test_the_gradient_of_sft_is_one_share_per_token() -> None:
    given = rows(seed=6)
    token = given.token.clone().requires_grad_()
    sft(RowLogprobs(token * given.mask, given.mask), None, ObjectiveSettings()).value.backward()
    assert token.grad is not None
    assert torch.allclose(token.grad, -given.mask.double() / given.mask.sum())


def test_dpo_at_the_reference_is_the_logarithm_of_two() -> None:
    given = rows(seed=7)
    loss = dpo(given, given.total, ObjectiveSettings(nll_weight=0.0, label_smoothing=0.3))
    assert loss.value.item() == pytest.approx(math.log(2))
    assert loss.metrics["reward_margin"] == 0.0
    assert loss.metrics["reward_accuracy"] == 0.0


def test_dpo_tells_how_often_and_by_how_much_the_chosen_text_leads() -> None:
    token = torch.tensor([[-1.0, -1.0], [-3.0, 0.0], [-4.0, 0.0], [-2.0, 0.0]])
    mask = torch.tensor([[1, 1], [1, 0], [1, 0], [1, 0]])
    metrics = dpo(RowLogprobs(token, mask), torch.zeros(4), ObjectiveSettings(beta=0.5)).metrics
    assert metrics["reward_accuracy"] == 0.5
    assert metrics["reward_margin"] == pytest.approx(0.5 * (2.0 - 1.0) / 2)
    assert metrics["chosen_nll"] == pytest.approx((1.0 + 3.0) / 2)


def test_label_smoothing_stops_pushing_where_it_is_sure_enough() -> None:
    settings = ObjectiveSettings(beta=1.0, label_smoothing=0.2, nll_weight=0.0)
    sure = math.log(0.8 / 0.2)
    gradients = []
    for margin in (sure - 1, sure, sure + 1):
        token = torch.tensor([[margin], [0.0]], dtype=torch.float64, requires_grad=True)
        dpo(RowLogprobs(token, torch.ones(2, 1)), torch.zeros(2, dtype=torch.float64), settings).value.backward()
        assert token.grad is not None
        gradients.append(token.grad[0, 0].item())
    assert gradients[0] < -0.01
    assert gradients[1] == pytest.approx(0.0, abs=1e-12)
    assert gradients[2] > 0.01


@pytest.mark.parametrize("lead", [1e4, -1e4])
def test_dpo_stays_finite_where_a_sigmoid_would_not(lead: float) -> None:
    token = torch.tensor([[lead], [0.0]], requires_grad=True)
    loss = dpo(RowLogprobs(token, torch.ones(2, 1)), torch.zeros(2), ObjectiveSettings(beta=1.0, label_smoothing=0.1))
    loss.value.backward()
    assert math.isfinite(loss.value.item())
    assert token.grad is not None
    assert token.grad.isfinite().all()
