"""What processes that compute with models are made ready with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from openmic.training.student.student import load_student


@pytest.fixture
def cudnn() -> Iterator[None]:
    before = torch.backends.cuda.cudnn_sdp_enabled()
    torch.backends.cuda.enable_cudnn_sdp(True)
    yield
    torch.backends.cuda.enable_cudnn_sdp(before)


@pytest.mark.usefixtures("cudnn")
def test_where_a_student_is_loaded_cudnn_plans_no_attention(tiny_causal: Path) -> None:
    load_student(str(tiny_causal), device="cpu")
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="what a GPU takes shows on one, and here is none")
@pytest.mark.usefixtures("cudnn")
def test_on_a_gpu_lengths_that_were_not_seen_go_through_kernels_without_plans(tiny_causal: Path) -> None:
    load_student(str(tiny_causal), device="cuda")
    query = torch.randn(64, 9, 1, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    with torch.profiler.profile() as profile:
        for length in range(200, 210):  # as decoding has them, and with a backward pass as training has
            keys = torch.randn(64, 9, length, 64, device="cuda", dtype=torch.bfloat16)
            mask = torch.ones(64, 1, 1, length, device="cuda", dtype=torch.bool)
            scaled_dot_product_attention(query, keys, keys, attn_mask=mask).sum().backward()
            scaled_dot_product_attention(keys, keys, keys, is_causal=True)
    called = {event.key for event in profile.key_averages()}
    assert any("scaled_dot_product" in name for name in called)
    assert not [name for name in called if "cudnn_attention" in name]
