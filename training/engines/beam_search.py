"""Beam search: which requests are one search, which searches may share a batch, and searching.

At temperature 0 a search is exact; above, beams are sampled without replacement (as transformers does it) with the
search's own random numbers, one search at a time. Either way what is found does not depend on who else is searching.
Finished beams compete by their mean log-probability. Not for nucleus sampling: that is `seeded_sampling`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, TopPLogitsWarper

from ...core.errors import GenerationError
from ...core.records import GenerationRequest
from ..student.student import LoadedStudent, accepted_inputs
from .prompt_cache import shared_prefill


@dataclass(frozen=True, slots=True)
class Search:
    """All that decides what a search finds; requests with equal searches want different beams of one."""

    prompt: tuple[int, ...]
    num_beams: int
    max_tokens: int
    temperature: float
    top_p: float = 1.0
    seed: int | None = None
    """None where nothing is drawn."""

    @property
    def exact(self) -> bool:
        """Whether the likeliest continuations are kept, and none is drawn."""
        return self.seed is None


def search_of(request: GenerationRequest, prompt: Sequence[int]) -> Search:
    """The search that finds what a request asks for.

    Raises:
        GenerationError: it asks for a beam that the search does not have.
    """
    sampling = request.sampling
    if not 0 <= request.beam < sampling.num_beams:
        raise GenerationError(
            f"request {request.id!r} asks for beam {request.beam} of {sampling.num_beams}: beams count from 0; "
            "raise sampling.num_beams, or ask for fewer candidates"
        )
    if sampling.temperature == 0:
        return Search(tuple(prompt), sampling.num_beams, sampling.max_tokens, 0.0)
    return Search(
        tuple(prompt), sampling.num_beams, sampling.max_tokens, sampling.temperature, sampling.top_p, request.seed
    )


def groups_of(searches: Sequence[Search]) -> Iterator[list[int]]:
    """The places of searches that may share a batch: exact ones of equal width and length, any other by itself."""
    together: dict[tuple[int, int], list[int]] = {}
    for place, search in enumerate(searches):
        if search.exact:
            together.setdefault((search.num_beams, search.max_tokens), []).append(place)
        else:
            yield [place]
    yield from together.values()


def find_beams(
    student: LoadedStudent, model: Any, ids: Tensor, mask: Tensor, searches: Sequence[Search]
) -> list[list[list[int]]]:
    """The new token ids of every beam of each search, the best beam first, padded after their end.

    Args:
        student: Whose tokenizer and kind count; its model may have adapters around it, as `model`.
        model: What searches.
        ids: [S, P] int64, the prompts of a group as `groups_of` makes them, padded as `pad_prompts` does.
        mask: [S, P] int64, 1 on real tokens.
        searches: S searches.
    """
    search, causal = searches[0], student.kind == "causal"
    assert len(searches) == 1 or all(
        each.exact and (each.num_beams, each.max_tokens) == (search.num_beams, search.max_tokens) for each in searches
    )
    cache = None
    if causal:
        repeated, seen = (part.repeat_interleave(search.num_beams, dim=0) for part in (ids, mask))
        cache = shared_prefill(model, repeated, seen)
    with torch.random.fork_rng(devices=[ids.device] if ids.is_cuda else []):
        if search.seed is not None:
            torch.manual_seed(search.seed)
        found = model.generate(
            input_ids=ids,
            attention_mask=mask,
            **accepted_inputs(model, {"past_key_values": cache, "cache": cache}),
            generation_config=_config(student, model, search),
            logits_processor=_nucleus(student, search),
        )
    start = ids.shape[1] if causal else 1  # a decoder begins with its start token
    rows: list[list[int]] = found[:, start:].tolist()
    return [rows[i : i + search.num_beams] for i in range(0, len(rows), search.num_beams)]


def _config(student: LoadedStudent, model: Any, search: Search) -> GenerationConfig:
    return GenerationConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
        max_new_tokens=search.max_tokens,
        num_beams=search.num_beams,
        num_return_sequences=search.num_beams,
        do_sample=not search.exact,
        temperature=1.0 if search.exact else search.temperature,
        top_k=0 if not search.exact else None,
        eos_token_id=list(student.ends),
        pad_token_id=student.tokenizer.pad_token_id,
        decoder_start_token_id=getattr(model.config, "decoder_start_token_id", None),
    )


def _nucleus(student: LoadedStudent, search: Search) -> list[Any]:
    # The first step has one beam alone to draw two continuations for each beam from, however narrow the nucleus.
    if search.exact or search.top_p == 1:
        return []
    least = min(2 * search.num_beams, len(student.tokenizer))
    return [TopPLogitsWarper(search.top_p, min_tokens_to_keep=least)]
