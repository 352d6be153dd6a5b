import math
from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from openmic.core.errors import ConfigError
from openmic.core.records import PreferenceSource
from openmic.core.training_settings import ObjectiveSettings, TrainingSettings
from openmic.training.loop.logprobs import completion_logprobs
from openmic.training.objectives import MISMATCHED, OBJECTIVES, TARGET, Phase, RowLogprobs, objective_names, phases
from openmic.training.student.tokenization import collate, encode_pair

from ..conftest import BuildStudent
from ..factories import TEXTS, messages
from .formula_rows import differences, gradient, permuted, row, rows

PAIRS = [[0, 1]] * 4
WITH_MISMATCHED = [[0, 1, MISMATCHED]] * 4
Formula = Callable[[RowLogprobs, ObjectiveSettings, np.ndarray], float]


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def mean(given: RowLogprobs, token: np.ndarray, place: int) -> float:
    return float(token[place].sum() / given.mask[place].sum().item())


def dpo_in_numpy(given: RowLogprobs, settings: ObjectiveSettings, token: np.ndarray) -> float:
    """Rafailov et al. (2023), eq. 7; Mitchell's smoothing; tokens past the shorter text's length a-fold; likelihood."""
    assert given.reference is not None
    mask, before = given.mask.numpy(), given.reference.numpy()
    beta = settings.beta or 0.1
    nll = 0.1 if settings.nll_weight is None else settings.nll_weight
    losses = []
    for group in range(4):
        chosen, rejected = row(given, group, 0), row(given, group, 1)
        shared = min(mask[chosen].sum(), mask[rejected].sum())
        weight = np.where(np.arange(token.shape[1]) < shared, 1.0, settings.ld_alpha)
        reward = {place: ((token[place] - before[place]) * weight).sum() for place in (chosen, rejected)}
        right = sigmoid(beta * (reward[chosen] - reward[rejected]))
        eps = settings.label_smoothing
        losses.append(-(1 - eps) * np.log(right) - eps * np.log(1 - right) - nll * mean(given, token, chosen))
    return float(np.mean(losses))


def simpo_in_numpy(given: RowLogprobs, settings: ObjectiveSettings, token: np.ndarray) -> float:
    """Meng et al. (2024), eq. 6, with a likelihood term."""
    beta = settings.beta or 2.0
    losses = []
    for group in range(4):
        chosen, rejected = (mean(given, token, row(given, group, rank)) for rank in (0, 1))
        lead = beta * (chosen - rejected) - beta * settings.gamma_beta_ratio
        losses.append(-np.log(sigmoid(lead)) - (settings.nll_weight or 0.0) * chosen)
    return float(np.mean(losses))


def kto_in_numpy(given: RowLogprobs, settings: ObjectiveSettings, token: np.ndarray, kl: float | None = None) -> float:
    """Ethayarajh et al. (2024), section 4; the estimate of the divergence has no gradient."""
    assert given.reference is not None
    beta = settings.beta or 0.1
    gain = (token - given.reference.numpy()).sum(axis=1)
    kl = kto_divergence(given) if kl is None else kl
    losses = []
    for group in range(4):
        losses.append(settings.desirable_weight * (1 - sigmoid(beta * (gain[row(given, group, 0)] - kl))))
        losses.append(settings.undesirable_weight * (1 - sigmoid(beta * (kl - gain[row(given, group, 1)]))))
    return float(np.mean(losses))


def kto_divergence(given: RowLogprobs) -> float:
    assert given.reference is not None
    gain = (given.token - given.reference).sum(dim=1)
    return max(0.0, float(gain[given.rank == MISMATCHED].mean()))


def opd_in_numpy(given: RowLogprobs, settings: ObjectiveSettings, token: np.ndarray) -> float:
    """Tokens' importance ratios to their sampler times the teacher's lead over it, over all tokens."""
    assert given.reference is not None
    assert given.teacher is not None
    before, teacher, mask = given.reference.numpy(), given.teacher.numpy(), given.mask.numpy()
    gains = [np.exp(token[at] - before[at]) * (teacher[at] - before[at]) for at in zip(*np.nonzero(mask), strict=True)]
    return -float(np.mean(gains))


CASES: list[tuple[str, Formula, dict[str, float]]] = [
    ("dpo", dpo_in_numpy, {}),
    ("dpo", dpo_in_numpy, {"beta": 0.5, "label_smoothing": 0.2, "nll_weight": 0.0}),
    ("dpo", dpo_in_numpy, {"beta": 0.3, "nll_weight": 1.0, "ld_alpha": 0.4}),
    ("dpo", dpo_in_numpy, {"label_smoothing": 0.1, "nll_weight": 0.25, "ld_alpha": 0.0}),
    ("simpo", simpo_in_numpy, {}),
    ("simpo", simpo_in_numpy, {"beta": 2.5, "gamma_beta_ratio": 0.0, "nll_weight": 0.3}),
    ("simpo", simpo_in_numpy, {"beta": 0.7, "gamma_beta_ratio": 1.6}),
    ("kto", kto_in_numpy, {}),
    ("kto", kto_in_numpy, {"beta": 0.6, "desirable_weight": 1.33, "undesirable_weight": 0.5}),
    ("opd", opd_in_numpy, {}),
]
EVERY_CASE = pytest.mark.parametrize(("name", "formula", "changes"), CASES)


def given_for(name: str, seed: int) -> RowLogprobs:
    ranks = {"kto": WITH_MISMATCHED, "opd": [[0]] * 4}.get(name, PAIRS)
    return rows(ranks, seed, reference=OBJECTIVES[name].needs_reference, teacher=name == "opd")


@EVERY_CASE
def test_a_loss_equals_its_formula(name: str, formula: Formula, changes: dict[str, float]) -> None:
    settings = ObjectiveSettings.model_validate(changes)
    for seed in range(3):
        given = given_for(name, seed)
        expected = formula(given, settings, given.token.numpy())
        assert OBJECTIVES[name](given, settings).value.item() == pytest.approx(expected, rel=1e-9)


@EVERY_CASE
def test_a_gradient_equals_the_differences_of_the_formula(
    name: str, formula: Formula, changes: dict[str, float]
) -> None:
    settings = ObjectiveSettings.model_validate(changes)
    given = given_for(name, seed=4)

    def loss(token: np.ndarray) -> float:
        if name == "kto":
            return kto_in_numpy(given, settings, token, kto_divergence(given))
        return formula(given, settings, token)

    expected = differences(loss, given.token.numpy(), given.mask.numpy())
    assert np.abs(expected).max() > 1e-3
    assert gradient(OBJECTIVES[name], given, settings) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_the_order_of_the_rows_plays_no_part(name: str) -> None:
    ranks = {
        "demonstrations": [[0]] * 4,
        "chosen": [[0]] * 4,
        "pairs": WITH_MISMATCHED,
        "rankings": [[0, 1, TARGET], [0, 1, 2, 3], [0, 1, 2, TARGET], [0, 1]],
        "drafts": [[0]] * 4,
    }[OBJECTIVES[name].needs]
    given = rows(ranks, seed=5, reference=True, teacher=True)
    expected = OBJECTIVES[name](given, ObjectiveSettings())
    order = torch.randperm(len(given.rank), generator=torch.Generator().manual_seed(1))
    found = OBJECTIVES[name](permuted(given, order), ObjectiveSettings())
    assert found.value.item() == pytest.approx(expected.value.item(), rel=1e-12)
    for name, value in expected.metrics.items():
        assert float(found.metrics[name]) == pytest.approx(float(value), rel=1e-12)


def test_the_rows_of_a_rank_come_in_the_order_of_their_examples() -> None:
    given = permuted(rows([[0, 1, TARGET], [0, 1], [0, 1, MISMATCHED]], seed=6), torch.tensor([7, 4, 2, 0, 6, 3, 1, 5]))
    assert given.chosen.group.tolist() == given.rejected.group.tolist() == [0, 1, 2]
    assert given.rejected.rank.tolist() == [1, 1, 1]
    assert list(zip(given.targets.group.tolist(), given.targets.rank.tolist(), strict=True)) == [
        (0, TARGET),
        (1, 0),
        (2, 0),
    ]


def test_sft_equals_cross_entropy_on_completion_tokens() -> None:
    torch.manual_seed(0)
    logits, ids = torch.randn(4, 6, 11), torch.randint(0, 11, (4, 6))
    mask = rows([[0]] * 4, seed=1).mask
    token = torch.log_softmax(logits, -1).gather(-1, ids.unsqueeze(-1)).squeeze(-1) * mask
    expected = cross_entropy(logits[mask.bool()], ids[mask.bool()])
    given = RowLogprobs(token, mask, torch.arange(4), torch.zeros(4, dtype=torch.long), 3.0)
    assert OBJECTIVES["sft"](given, ObjectiveSettings()).value.item() == pytest.approx(expected.item(), abs=1e-6)


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
        token = completion_logprobs(one, one.model, batch)
    found = RowLogprobs(token, batch.completion_mask, torch.zeros(1).long(), torch.zeros(1).long(), 1.0)
    assert OBJECTIVES["sft"](found, ObjectiveSettings()).value.item() == pytest.approx(expected.item(), abs=1e-5)


def test_sft_weighs_every_token_alike_and_not_every_row() -> None:
    given = rows([[0]] * 5, seed=6)
    assert len(set(given.lengths.tolist())) > 2
    expected = -given.mask.double() / given.mask.sum()
    assert gradient(OBJECTIVES["sft"], given, ObjectiveSettings()) == pytest.approx(expected.numpy())


def test_self_distillation_is_the_loss_of_sft_on_other_texts() -> None:
    given = rows([[0]] * 5, seed=7)
    assert OBJECTIVES["sd"](given, ObjectiveSettings()) == OBJECTIVES["sft"](given, ObjectiveSettings())
    assert (OBJECTIVES["sd"].needs, OBJECTIVES["sft"].needs) == ("chosen", "demonstrations")


def test_on_policy_distillation_at_the_start_is_the_lead_of_the_teacher_with_its_sign_turned() -> None:
    given = rows([[0]] * 4, seed=8, teacher=True)
    assert given.teacher is not None
    loss = OBJECTIVES["opd"](replace(given, reference=given.token), ObjectiveSettings())
    lead = (given.teacher - given.token).sum() / given.mask.sum()
    assert loss.value.item() == pytest.approx(-lead.item())
    assert float(loss.metrics["reverse_kl"]) == pytest.approx(-lead.item())
    assert float(loss.metrics["ratio"]) == pytest.approx(1.0)


def test_a_token_that_the_teacher_likes_better_becomes_likelier_and_no_other_token_is_touched() -> None:
    token = torch.tensor([[-1.0, -1.0, -1.0]], dtype=torch.float64)
    given = RowLogprobs(
        token,
        torch.ones_like(token),
        torch.tensor([0]),
        torch.tensor([0]),
        3.0,
        token,
        teacher=token + torch.tensor([[0.5, 0.0, -2.0]]),
    )
    assert gradient(OBJECTIVES["opd"], given, ObjectiveSettings()) == pytest.approx(np.array([[-0.5, 0.0, 2.0]]) / 3)


def at_the_start(ranks: list[list[int]]) -> RowLogprobs:
    given = rows(ranks, seed=8)
    return RowLogprobs(given.token, given.mask, given.group, given.rank, 3.0, given.token)


def test_dpo_at_the_start_is_the_logarithm_of_two() -> None:
    settings = ObjectiveSettings(nll_weight=0.0, label_smoothing=0.3, ld_alpha=0.5)
    loss = OBJECTIVES["dpo"](at_the_start(PAIRS), settings)
    assert loss.value.item() == pytest.approx(math.log(2))
    assert loss.metrics["reward_margin"] == 0.0
    assert loss.metrics["reward_accuracy"] == 0.0


def test_kto_at_the_start_is_one_half() -> None:
    loss = OBJECTIVES["kto"](at_the_start(WITH_MISMATCHED), ObjectiveSettings())
    assert loss.value.item() == pytest.approx(0.5)
    assert loss.metrics["kl"] == 0.0


def test_kto_without_mismatched_rows_takes_the_divergence_to_be_nothing() -> None:
    given = rows(PAIRS, seed=9, reference=True)
    expected = kto_in_numpy(given, ObjectiveSettings(), given.token.numpy(), kl=0.0)
    assert OBJECTIVES["kto"](given, ObjectiveSettings()).value.item() == pytest.approx(expected)


def test_the_divergence_of_kto_is_never_negative_and_bears_no_gradient() -> None:
    given = rows(WITH_MISMATCHED, seed=0, reference=True)
    assert given.reference is not None
    apart = given.rank == MISMATCHED
    for shift, expected in ((-1.0, 0.0), (2.0, 2.0 * given.mask[apart].sum().item() / 4)):
        token = torch.where(apart.unsqueeze(1), given.reference + shift * given.mask, given.token)
        moved = RowLogprobs(token, given.mask, given.group, given.rank, 3.0, given.reference)
        assert OBJECTIVES["kto"](moved, ObjectiveSettings()).metrics["kl"] == pytest.approx(expected)
        assert not gradient(OBJECTIVES["kto"], moved, ObjectiveSettings())[apart.numpy()].any()


def pair_of(chosen: list[float], rejected: list[float]) -> RowLogprobs:
    token = torch.tensor([chosen, rejected], dtype=torch.float64)
    return RowLogprobs(
        token, torch.ones_like(token), torch.tensor([0, 0]), torch.tensor([0, 1]), 1.0, torch.zeros_like(token)
    )


def test_label_smoothing_stops_pushing_where_it_is_sure_enough() -> None:
    settings = ObjectiveSettings(beta=1.0, label_smoothing=0.2, nll_weight=0.0)
    sure = math.log(0.8 / 0.2)
    pulls = [
        gradient(OBJECTIVES["dpo"], pair_of([margin], [0.0]), settings)[0, 0] for margin in (sure - 1, sure, sure + 1)
    ]
    assert pulls[0] < -0.01
    assert pulls[1] == pytest.approx(0.0, abs=1e-12)
    assert pulls[2] > 0.01


@pytest.mark.parametrize("name", ["dpo", "simpo", "kto"])
@pytest.mark.parametrize("lead", [1e4, -1e4])
def test_a_loss_stays_finite_where_a_logarithm_of_a_sigmoid_would_not(name: str, lead: float) -> None:
    given, settings = pair_of([lead], [0.0]), ObjectiveSettings(beta=1.0)
    assert math.isfinite(OBJECTIVES[name](given, settings).value.item())
    assert np.isfinite(gradient(OBJECTIVES[name], given, settings)).all()


def test_preferences_tell_how_often_and_by_how_much_the_chosen_text_leads() -> None:
    token = torch.tensor([[-1.0, -1.0], [-3.0, 0.0], [-4.0, 0.0], [-2.0, 0.0]])
    mask = torch.tensor([[1, 1], [1, 0], [1, 0], [1, 0]])
    given = RowLogprobs(
        token, mask, torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 1, 1]), 1.0, torch.zeros_like(token)
    )
    metrics = OBJECTIVES["dpo"](given, ObjectiveSettings(beta=0.5)).metrics
    assert metrics["reward_accuracy"] == 0.5
    assert metrics["reward_margin"] == pytest.approx(0.5 * (2.0 - 1.0) / 2)
    assert metrics["chosen_nll"] == pytest.approx((1.0 + 3.0) / 2)


@pytest.mark.parametrize("name", ["dpo", "simpo", "kto", "brio"])
def test_an_example_counts_by_its_weight(name: str) -> None:
    settings = ObjectiveSettings(nll_weight=0.0)
    given, weights = rows(PAIRS, 5, reference=True), torch.tensor([2.0, 0.5, 0.0, 1.5], dtype=torch.float64)
    each = torch.stack([OBJECTIVES[name](rows_of(given, given.group == group), settings).value for group in range(4)])
    weighed = OBJECTIVES[name](replace(given, weight=weights[given.group]), settings)
    # Each example alone has the mean length of all, so the weighted mean of their losses is the loss.
    assert weighed.value.item() == pytest.approx((each * weights).mean().item())
    alike = OBJECTIVES[name](replace(given, weight=torch.ones(8)), settings)
    assert alike.value.item() == pytest.approx(OBJECTIVES[name](given, settings).value.item())


def rows_of(given: RowLogprobs, wanted: torch.Tensor) -> RowLogprobs:
    """Some of the rows, by themselves."""
    assert given.reference is not None
    return RowLogprobs(
        given.token[wanted],
        given.mask[wanted],
        given.group[wanted] - given.group[wanted].min(),
        given.rank[wanted],
        given.mean_length,
        given.reference[wanted],
    )


def test_the_configuration_says_of_each_objective_what_it_does() -> None:
    assert TrainingSettings().objective in objective_names()
    assert objective_names() == ("sft", "sd", "brio", "dpo", "simpo", "kto", "opd", "brio-dpo")


@pytest.mark.parametrize("name", list(OBJECTIVES))
def test_a_simple_objective_is_one_phase_on_all_preferences(name: str) -> None:
    assert phases(name) == (Phase(name, None),)


def test_brio_dpo_is_brio_on_the_teachers_pairs_and_then_dpo_on_all_others() -> None:
    first, second = phases("brio-dpo")
    assert (first.objective, first.sources) == ("brio", {"teacher_pair"})
    assert second.objective == "dpo"
    assert second.sources == set(get_args(PreferenceSource)) - {"teacher_pair"}


def test_an_unknown_objective_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"training\.objective 'ppo' is none of sft, sd, .*kto, opd, brio-dpo"):
        phases("ppo")
