import pytest
import torch

from openmic.core.errors import ConfigError
from openmic.training.loop.precision import Precision, PrecisionName, resolve_precision


@pytest.mark.parametrize(
    ("name", "dtype"), [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_what_a_name_means_on_a_cpu(name: PrecisionName, dtype: torch.dtype) -> None:
    assert resolve_precision(name, "cpu") is dtype


@pytest.mark.parametrize(("capable", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_on_a_gpu_is_what_the_gpu_can_do(
    monkeypatch: pytest.MonkeyPatch, capable: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: capable)
    assert resolve_precision("auto", "cuda:1") is dtype
    assert resolve_precision("float16", "cuda") is torch.float16


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_float16_needs_a_device_that_scales_gradients(device: str) -> None:
    with pytest.raises(ConfigError, match=rf"float16 needs a CUDA device, and the student is on '{device}'"):
        resolve_precision("float16", device)


@pytest.mark.parametrize(("dtype", "computed"), [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_the_model_computes_in_it(dtype: torch.dtype, computed: torch.dtype) -> None:
    model = torch.nn.Linear(3, 2).bfloat16()
    precision = Precision(dtype, model, "cpu")
    with precision.compute():
        assert model(torch.ones(1, 3, dtype=model.weight.dtype)).dtype is computed


def test_a_step_clips_takes_and_clears_the_gradients() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    precision = Precision(torch.float32, torch.nn.Linear(1, 1), "cpu")
    for _ in range(2):
        precision.backward((weight * torch.tensor([3.0, 4.0])).sum())
    precision.step(optimizer, [weight], max_norm=1.0)
    assert weight.tolist() == pytest.approx([-0.6, -0.8])
    assert weight.grad is None
