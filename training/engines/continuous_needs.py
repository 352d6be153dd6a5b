"""What the `continuous` engine takes of transformers that is nobody's promise, and which versions it was tested with.

It hooks into parts that another version may rename. With a version that was not tested `auto` takes another engine; who
names `continuous` gets it as long as all that it needs is there.
"""

from functools import reduce
from importlib import import_module
from importlib.metadata import version

TESTED = ("5.23", "5.24")
"""Versions of transformers whose `continuous` has passed the conformance suite."""
_NOT_WITH = {"5.24": frozenset({"GPTNeoXForCausalLM", "OPTForCausalLM"})}
"""Architectures that in a version do not hand their cache what transformers' continuous batching says of a step."""
_BATCHING = "transformers.generation.continuous_batching"
NEEDED = {
    "transformers": ("ContinuousBatchingConfig", "AttentionInterface.register", "LogitsProcessorList"),
    f"{_BATCHING}.cache": (
        "PagedAttentionCache.update",
        "PagedAttentionCache.search_prefix_match",
    ),
    f"{_BATCHING}.cache_allocators": (
        "FULL_ATTENTION",
        "FullAttentionCacheAllocator.match_prefix_blocks",
        "FullAttentionCacheAllocator.mark_complete_blocks",
    ),
    f"{_BATCHING}.cb_logits_processors": (
        "ContinuousBatchingLogitsProcessorList.fill_defaults",
        "ContinuousBatchingLogitsProcessorList.prepare_tensor_args",
    ),
    f"{_BATCHING}.continuous_api": (
        "BackgroundThreadStatus.HARD_STOP",
        "BackgroundThreadStatus.request_stop",
        "ContinuousBatchingManager.pause",
        "ContinuousBatchingManager.register_result_handler",
        "ContinuousBatchingManager.add_request",
        "ContinuousBatchingManager.cancel_request",
        "ContinuousBatchingManager.join",
        "ContinuousMixin.init_continuous_batching",
    ),
    f"{_BATCHING}.requests": ("RequestState", "RequestStatus.PREFILLING"),
    f"{_BATCHING}.scheduler": ("SCHEDULER_MAPPING", "FIFOScheduler._get_waiting_candidates"),
}
"""Modules of transformers, and the names in each that the engine uses."""


def untested() -> str:
    """The version of transformers that is installed, where `continuous` was not tested with it; else nothing."""
    found = version("transformers")
    return "" if any(_is(found, one) for one in TESTED) else found


def breaks(architecture: str) -> str:
    """The version of transformers that is installed, where an architecture does not go with it; else nothing."""
    found = version("transformers")
    return next((found for one, names in _NOT_WITH.items() if _is(found, one) and architecture in names), "")


def _is(found: str, release: str) -> bool:
    return found == release or found.startswith(f"{release}.")


def lacking() -> list[str]:
    """Those of the names that transformers does not have."""
    found = []
    for module, names in NEEDED.items():
        try:
            holder = import_module(module)
        except ImportError:
            found.append(module)
            continue
        for name in names:
            try:
                reduce(getattr, name.split("."), holder)
            except AttributeError:
                found.append(f"{module}.{name}")
    return found
