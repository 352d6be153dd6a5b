"""A prompt's beginning is read once for all requests that begin alike and go through the same adapter.

transformers' continuous batching knows shared beginnings by their tokens alone, but keys and values made through one
adapter are wrong for another. So wherever it looks tokens up, the first stands for a token and an adapter. And it lets
requests that arrive together read the same prompt side by side; here one reads, and the others begin a step later with
what it has read.
"""

from collections.abc import Sequence
from typing import Any

from transformers.generation.continuous_batching.cache import PagedAttentionCache
from transformers.generation.continuous_batching.requests import RequestState, RequestStatus
from transformers.generation.continuous_batching.scheduler import SCHEDULER_MAPPING, FIFOScheduler

SCHEDULER = "openmic_shared_prefixes"
"""The scheduler's name in transformers' configuration of continuous batching."""


def request_key(load: int, number: int) -> str:
    """The name under which transformers is to know a request.

    Args:
        load: Which loading of an adapter the request goes through, 0 for none. Loading a version again is another.
        number: The request's own.
    """
    return f"{load}:{number}"


class Marks:
    """Numbers that stand for a token and the loading of an adapter; they are negative, as no token is."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}

    def marked(self, key: str, tokens: Sequence[int]) -> list[int]:
        """The tokens of the request of that key, the first of them marked."""
        number = self._numbers.setdefault((_load(key), tokens[0]), -1 - len(self._numbers))
        return [number, *tokens[1:]]


class PrefixScheduler(FIFOScheduler):
    """transformers' scheduler, for requests that are named by `request_key`."""

    def __init__(self, cache: PagedAttentionCache, safety_margin: float | None, max_requests_per_batch: int) -> None:
        super().__init__(cache, safety_margin, max_requests_per_batch)
        self._marks = Marks()
        _mark_lookups(cache, self._marks)

    def _get_waiting_candidates(self) -> list[RequestState]:
        """Requests that may begin now: as many as fit, and one of those that share a prefix."""
        active = self.active_requests.values()
        room = self.max_requests_per_batch - len(active)
        reading = [state for state in active if state.status == RequestStatus.PREFILLING]
        found: list[RequestState] = []
        for state in super()._get_waiting_candidates():
            if len(found) >= room:
                break
            prompt = state.initial_tokens
            # A request waits only while another one, with the same adapter, is reading the very block it would read
            # next; once that block is in the cache this request begins and finds it there.
            unread = self._unread_end(state)
            if unread is None or not any(
                _load(other.request_id) == _load(state.request_id) and other.initial_tokens[:unread] == prompt[:unread]
                for other in reading
            ):
                found.append(state)
                reading.append(state)
        return found

    def _unread_end(self, state: RequestState) -> int | None:
        """End of a prompt's first block that is not cached; None if no other could be shared."""
        if not self.cache.use_prefix_sharing:
            return None
        [allocator] = self.cache.cache_allocators.values()
        marked = self._marks.marked(state.request_id, state.initial_tokens)
        end = (len(allocator.match_prefix_blocks(marked)) + 1) * allocator.tokens_per_page
        return int(end) if end < len(marked) else None


def _load(key: str) -> str:
    return key.partition(":")[0]


def _mark_lookups(cache: Any, marks: Marks) -> None:
    """Mark the tokens by which a cache finds blocks, and those by which it remembers them."""
    # transformers offers no hook here, so the two methods are wrapped on the objects that it made.
    search = cache.search_prefix_match
    cache.search_prefix_match = lambda key, tokens: search(key, marks.marked(key, tokens))
    for allocator in cache.cache_allocators.values():
        _mark_memory(allocator, marks)


def _mark_memory(allocator: Any, marks: Marks) -> None:
    remember = allocator.mark_complete_blocks
    allocator.mark_complete_blocks = lambda key, tokens, new: remember(key, marks.marked(key, tokens), new)


SCHEDULER_MAPPING[SCHEDULER] = PrefixScheduler
