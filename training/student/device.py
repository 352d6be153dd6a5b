"""Where models compute: whether this machine has a device, and what it is made ready with."""

from typing import TYPE_CHECKING, Any

from ...core.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor


def prepare_device() -> None:
    """Make this process's devices ready for texts of any length; to be called before a model is put on one.

    On Hopper `scaled_dot_product_attention` takes cuDNN's kernel first, and cuDNN builds a plan for every combination
    of shapes that it has not seen: 43 to 94 ms for a call, 0.1 ms where it has. Decoding has a new length at every
    step, and training in every batch, so that an H200 was slower than two CPU cores. Torch's other kernels have no
    plans. With few shapes cuDNN trains 1.7 to 2.3 times as fast; who turns it on again sees to it that they are few.
    """
    import torch

    torch.backends.cuda.enable_cudnn_sdp(False)


def on_gpu(device: str) -> bool:
    """Whether a device computes beside this process, which waits for it only where it looks at what was computed."""
    return device.startswith("cuda")


def moved(tensor: "Tensor", device: str) -> "Tensor":
    """A tensor of this process's memory on a device; nobody waits for what is computed there."""
    if not on_gpu(device):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def check_device(device: Any, key: str = "device", *, here: bool = True) -> None:
    """Make sure that a device can be one.

    Args:
        device: `auto`, `cpu`, `cuda`, `cuda:1` and the like.
        key: The argument or configuration key that named it.
        here: Whether this machine must have it; where actors run elsewhere, they may have what it has not.

    Raises:
        ConfigError: there is no such device.
    """
    if device == "auto":
        return
    import torch

    try:
        if not isinstance(device, str):
            raise TypeError(f"a {type(device).__name__} is no name")
        kind = torch.device(device)
    except (RuntimeError, TypeError) as error:
        why = str(error).strip().splitlines()[0]
        raise ConfigError(f"{key}: {device!r} is no device ({why:.120}); set auto, cpu, cuda or cuda:1") from None
    if kind.type == "meta":
        raise ConfigError(f"{key}: on the device meta nothing can be computed; set auto, cpu or cuda")
    if not here or kind.type == "cpu":
        return
    if kind.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (kind.index or 0) >= count:
            has = f"it has {count}, cuda:0 to cuda:{count - 1}" if count else "PyTorch finds no CUDA GPU here"
            raise ConfigError(f"{key}: this machine has no device {device!r} ({has}); set auto or cpu")
        return
    try:
        torch.empty(1, device=kind)
    except Exception as error:  # every kind of accelerator has exceptions of its own
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{key}: this machine has no device {device!r} ({why:.120}); set auto or cpu") from error
