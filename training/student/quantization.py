"""Weights in 4 bits, which bitsandbytes keeps and computes with: what QLoRA trains adapters around.

NF4 with quantised constants, as in Dettmers et al. 2023 (QLoRA). Embeddings, norms and the output layer stay whole.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...core.errors import ConfigError
from ...core.student_settings import StudentWeights

if TYPE_CHECKING:  # it takes seconds to import
    import torch


def check_quantization(weights: StudentWeights) -> None:
    """Make sure that weights can be kept in so few bits.

    Raises:
        ConfigError: bitsandbytes is not installed, or does not import here.
    """
    if weights.quantization is None:
        return
    key = f"student.quantization={weights.quantization}"
    if find_spec("bitsandbytes") is None:
        raise ConfigError(
            f"{key} needs bitsandbytes, which is not installed: pip install 'openmic[quantization]', or leave "
            "student.quantization out"
        )
    try:
        import bitsandbytes  # noqa: F401 - whether it can be
    except Exception as error:  # it looks for libraries of every accelerator
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{key}: bitsandbytes does not work here ({why:.200}); leave student.quantization out") from (
            error
        )


def quantized(weights: StudentWeights, dtype: "torch.dtype", device: str) -> dict[str, Any]:
    """What transformers loads such weights with; nothing where they stay as they are.

    Args:
        weights: Which they are.
        dtype: What the layers compute in.
        device: Where they go.
    """
    if weights.quantization is None:
        return {}
    from transformers import BitsAndBytesConfig

    kept: Any = BitsAndBytesConfig  # transformers leaves it untyped
    config = kept(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": config, "device_map": {"": device}}
