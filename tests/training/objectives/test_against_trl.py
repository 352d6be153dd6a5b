"""TRL as the yardstick: on one batch of a tiny model our losses and their gradients are those of its trainers.

Each trainer is built once, on a data set that plays no part; its own collator pads the batch and its own `compute_loss`
measures it. A base model with a `ref_model` is given, since TRL takes the bare base of a PEFT model as the reference.
"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.core.records import TrainingExample
from openmic.core.training_settings import FineTuneSettings
from openmic.training.loop.batches import LogprobScorer, concat
from openmic.training.loop.examples import EncodedExample, encode_examples, with_mismatched
from openmic.training.loop.portions import Portions
from openmic.training.loop.precision import Precision
from openmic.training.loop.reference import reference_of
from openmic.training.objectives import OBJECTIVES
from openmic.training.student.student import LoadedStudent

from ..conftest import BuildStudent
from ..factories import preference

pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # TRL's own default
EXAMPLES = [
    preference(0, "Late? It was posthumous.", "No."),
    preference(1, "She sent a card.", "It came, in its own time, like my pension, my brother and the bus."),
    preference(2, "It rained umbrellas.", "It was raining."),
    preference(3, "Soup of the day, of the week, and of the year before.", "Soup is cold."),
]
SILENT = {"bf16": False, "use_cpu": True, "report_to": [], "disable_tqdm": True}
PAIRS = [{"prompt": "Soup.", "chosen": "Yes.", "rejected": "No."}] * 2
TEXTS = [{"prompt": f"{i}.", "completion": "Yes.", "label": bool(i)} for i in range(2)]


@pytest.fixture(scope="module")
def dataset() -> Iterator[Callable[[list[dict[str, Any]]], Any]]:
    datasets = pytest.importorskip("datasets", reason="TRL and datasets come with the `dev` extra")
    datasets.disable_progress_bars()
    yield datasets.Dataset.from_list
    datasets.enable_progress_bars()


@pytest.fixture
def policy(student: BuildStudent) -> LoadedStudent:
    return student("llama")


@pytest.fixture
def start(policy: LoadedStudent) -> LoadedStudent:
    """The reference: the policy with its weights stirred."""
    model = copy.deepcopy(policy.model)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.02 * torch.randn(value.shape, generator=generator))
    return LoadedStudent(policy.name, policy.kind, model, policy.tokenizer, policy.device)


def ours(
    name: str, policy: LoadedStudent, start: LoadedStudent, examples: list[TrainingExample], **changes: Any
) -> tuple[float, dict[str, float]]:
    """The loss, its metrics, and gradients left in the policy."""
    objective, settings = OBJECTIVES[name], FineTuneSettings(**changes)
    precision = Precision(torch.float32, policy.model, "cpu")
    items = encode_examples(policy, examples, objective, settings)
    items = with_mismatched(items) if objective.uses_mismatched else items
    reference = reference_of(start, start.model, items, precision=precision, portions=Portions(3))
    scorer = LogprobScorer(policy, policy.model, precision, share_prompts=True, reference=reference, mean_length=1.0)
    rows = scorer.score(items)
    if objective.uses_mismatched:
        rows = concat(rows, scorer.score_mismatched(items))
    loss = objective(rows, settings)
    loss.value.backward()
    return loss.value.item(), {name: float(value) for name, value in loss.metrics.items()}


def assert_same_gradients(mine: Any, theirs: Any) -> None:
    expected = {name: value.grad for name, value in theirs.named_parameters()}
    assert max(float(gradient.abs().max()) for gradient in expected.values()) > 1e-2
    for name, value in mine.named_parameters():
        scale = max(1.0, float(expected[name].abs().max()))
        assert torch.allclose(value.grad, expected[name], atol=1e-5 * scale, rtol=0), name


def encoded(policy: LoadedStudent, name: str) -> list[EncodedExample]:
    items = encode_examples(policy, EXAMPLES, OBJECTIVES[name], FineTuneSettings())
    return with_mismatched(items) if OBJECTIVES[name].uses_mismatched else items


def smoothed(eps: float) -> dict[str, Any]:
    """TRL's sigmoid loss knows no label smoothing. Its robust loss (Chowdhury et al. 2024) has both terms of it:

    robust = [-(1 - eps) log sigmoid(x) + eps log sigmoid(-x)] / (1 - 2 eps), so that the smoothed loss is
    2 (1 - eps) sigmoid - (1 - 2 eps) robust, a sum that TRL forms itself.
    """
    return {
        "loss_type": ["sigmoid", "robust"],
        "loss_weights": [2 * (1 - eps), -(1 - 2 * eps)],
        "label_smoothing": eps,
    }


@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"beta": 0.1}, {"beta": 0.1}),
        ({"beta": 0.3, "label_smoothing": 0.2}, {"beta": 0.3, **smoothed(0.2)}),
        ({"beta": 0.2, "ld_alpha": 0.5}, {"beta": 0.2, "ld_alpha": 0.5}),
        (
            {"beta": 0.2, "ld_alpha": 0.0, "label_smoothing": 0.1},
            {"beta": 0.2, "ld_alpha": 0.0, **smoothed(0.1)},
        ),
    ],
    ids=["plain", "label smoothing", "length-desensitised", "both"],
)
def test_dpo(
    policy: LoadedStudent,
    start: LoadedStudent,
    dataset: Callable[..., Any],
    tmp_path: Path,
    changes: dict[str, float],
    theirs: dict[str, Any],
) -> None:
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(
        copy.deepcopy(policy.model),
        ref_model=copy.deepcopy(start.model),
        args=DPOConfig(output_dir=str(tmp_path), **SILENT, **theirs),
        train_dataset=dataset(PAIRS),
        processing_class=policy.tokenizer,
    )
    batch = trainer.data_collator(
        [
            {
                "prompt_ids": list(item.prompt),
                "chosen_ids": list(item.rows[0].text.completion),
                "rejected_ids": list(item.rows[1].text.completion),
            }
            for item in encoded(policy, "dpo")
        ]
    )
    expected = trainer.compute_loss(trainer.model, batch)
    expected.backward()
    loss, _ = ours("dpo", policy, start, EXAMPLES, nll_weight=0.0, **changes)
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    assert abs(loss - 0.6931) > 0.01
    assert_same_gradients(policy.model, trainer.model)


@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({}, {"beta": 2.0, "simpo_gamma": 1.0}),
        ({"beta": 2.5, "gamma_beta_ratio": 0.3}, {"beta": 2.5, "simpo_gamma": 0.75}),
    ],
    ids=["defaults", "others"],
)
def test_simpo(
    policy: LoadedStudent,
    start: LoadedStudent,
    dataset: Callable[..., Any],
    tmp_path: Path,
    changes: dict[str, float],
    theirs: dict[str, float],
) -> None:
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    trainer = CPOTrainer(
        copy.deepcopy(policy.model),
        args=CPOConfig(
            output_dir=str(tmp_path), loss_type="simpo", cpo_alpha=0.0, remove_unused_columns=False, **SILENT, **theirs
        ),
        train_dataset=dataset(PAIRS),
        processing_class=policy.tokenizer,
    )
    features = []
    for item in encoded(policy, "simpo"):
        feature = {"prompt_input_ids": list(item.prompt), "prompt_attention_mask": [1] * len(item.prompt)}
        for side, row in zip(("chosen", "rejected"), item.rows, strict=True):
            whole = [*row.text.prompt, *row.text.completion]
            feature[f"{side}_input_ids"] = whole
            feature[f"{side}_attention_mask"] = [1] * len(whole)
            feature[f"{side}_labels"] = [-100] * len(row.text.prompt) + list(row.text.completion)
        features.append(feature)
    expected, _ = trainer.get_batch_loss_metrics(trainer.model, trainer.data_collator(features))
    expected.backward()
    loss, _ = ours("simpo", policy, start, EXAMPLES, **changes)
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    assert_same_gradients(policy.model, trainer.model)


@pytest.mark.parametrize("cut_off", [True, False], ids=["divergence cut off at zero", "divergence above zero"])
@pytest.mark.parametrize(
    "changes", [{}, {"beta": 0.4, "desirable_weight": 1.33, "undesirable_weight": 0.5}], ids=["defaults", "weighted"]
)
def test_kto(
    policy: LoadedStudent,
    start: LoadedStudent,
    dataset: Callable[..., Any],
    tmp_path: Path,
    changes: dict[str, float],
    cut_off: bool,
) -> None:
    from trl import KTOConfig, KTOTrainer

    if not cut_off:
        policy, start = start, policy
    trainer = KTOTrainer(
        copy.deepcopy(policy.model),
        ref_model=copy.deepcopy(start.model),
        args=KTOConfig(output_dir=str(tmp_path), **SILENT, **({"beta": 0.1} | changes)),
        train_dataset=dataset(TEXTS),
        processing_class=policy.tokenizer,
    )
    batch = trainer.data_collator(
        [
            {
                "prompt_ids": list(item.prompt),
                "completion_ids": list(item.rows[place].text.completion),
                "KL_completion_ids": list(item.rows[2].text.completion),  # of each pair twice, which leaves the mean
                "label": place == 0,
            }
            for place in (0, 1)
            for item in encoded(policy, "kto")
        ]
    )
    expected = trainer.compute_loss(trainer.model, batch)
    expected.backward()
    loss, metrics = ours("kto", policy, start, EXAMPLES, **changes)
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    assert metrics["kl"] == pytest.approx(trainer._metrics["eval"]["kl"][-1], abs=1e-4)
    assert (metrics["kl"] == 0) is cut_off
    assert_same_gradients(policy.model, trainer.model)


def test_the_batch_has_prompts_and_completions_of_several_lengths(policy: LoadedStudent) -> None:
    items = encoded(policy, "dpo")
    assert len({len(item.prompt) for item in items}) >= 3
    lengths = [tuple(len(row.text.completion) for row in item.rows) for item in items]
    assert {chosen > rejected for chosen, rejected in lengths} == {True, False}
