"""Memory that ran out: telling it from other failures, and giving back what can be given back."""

import gc


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no memory for something, on whichever device.

    CUDA's and MPS's say so by their class or words, a CPU's allocator and C++ by words alone.
    """
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "bad_alloc", "ALLOC_FAILED")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def release_memory() -> None:
    """Give back what nobody uses any more; call it where the error itself is out of sight, which holds tensors."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
