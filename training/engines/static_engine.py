"""Batches of requests through `generate`, with LoRA adapters loaded beside the base model.

Works for causal and sequence-to-sequence students on any device. It knows nothing of queues (`engines.static` puts one
in front of it); one thread at a time may call it.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, GenerationConfig

from ...core.records import AdapterRef, Generation, GenerationRequest
from ..student.student import LoadedStudent, sees_whole_text
from ..student.tokenization import pad_prompts, render_prompt
from .adapter_slots import AdapterShelf, ReadAdapter
from .beam_search import Search, find_beams, groups_of, search_of
from .engine import generation_of, refuse_current, refuse_too_long, refuse_unloaded
from .prompt_cache import pad_behind_beginning, shared_prefill
from .seeded_sampling import PerRowLength, SeededSampler

STRIDE = 8
"""Tokens generated before rows that have ended leave the batch."""
LENGTH_SPREAD = 1.5
"""How many times longer than its shortest prompt the longest of a batch may be."""


class StaticEngine:
    """Generates with any loaded adapter version; version 0 is the base model."""

    def __init__(self, student: LoadedStudent, *, max_batch: int, worker: str = "local") -> None:
        self._student = student
        self._shelf = AdapterShelf(student)
        self._max_batch = max_batch
        self._worker = worker

    @property
    def current(self) -> int:
        """The adapter version of requests that name none."""
        return self._shelf.current

    @property
    def loaded(self) -> tuple[int, ...]:
        """The versions that can be asked for."""
        return self._shelf.loaded

    def verified(self, ref: AdapterRef) -> ReadAdapter | None:
        """An adapter verified and read, None for one that is loaded; may be called beside a generation.

        Raises:
            AdapterError: the files are not what was committed.
        """
        return self._shelf.missing(ref)

    def load_adapter(self, ref: AdapterRef, *, make_current: bool = True, adapter: ReadAdapter | None = None) -> None:
        """Load an adapter; the one that was current stays loaded, and current on failure.

        Args:
            ref: The adapter.
            make_current: Whether requests that name no version get this one from now on.
            adapter: What `verified` said, where it was asked before; else the files are read now.

        Raises:
            AdapterError: the files are not what was committed, or do not fit the student.
        """
        adapter = adapter or self._shelf.missing(ref)
        if adapter is not None and ref.version not in self.loaded:
            keep = set() if make_current else {self.current}
            self._shelf.put(ref.version, adapter, self._shelf.surplus(keep, incoming=1))
        if make_current:
            self._shelf.current = ref.version

    def unload(self, version: int) -> None:
        """Let go of a version. Raises AdapterError for the current one."""
        refuse_current(version, self.current)
        if version in self.loaded[1:]:
            self._shelf.remove(version)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer all requests, in their order; batches are made per adapter version and by prompt length.

        Requests of one beam search are answered from one search.

        Raises:
            GenerationError: a request names an adapter that is not loaded or a beam that its search does not have, or
                is too long for the student.
        """
        began = time.monotonic()
        prompts = [render_prompt(self._student, request.messages) for request in requests]
        for request, prompt in zip(requests, prompts, strict=True):
            refuse_too_long(self._student, request, len(prompt))
        versions = [self.current if request.adapter is None else request.adapter for request in requests]
        answers: dict[int, Generation] = {}
        for version in sorted(set(versions)):
            refuse_unloaded(version, self.loaded)
            rows = [i for i, asked in enumerate(versions) if asked == version]
            for row, ids in self._answers(rows, requests, prompts, version):
                answers[row] = generation_of(
                    self._student,
                    requests[row],
                    ids,
                    prompt_tokens=len(prompts[row]),
                    adapter_version=version,
                    queue_ms=0.0,
                    latency_ms=(time.monotonic() - began) * 1000,
                    worker=self._worker,
                )
        return [answers[i] for i in range(len(requests))]

    def _answers(
        self,
        rows: Sequence[int],
        requests: Sequence[GenerationRequest],
        prompts: Sequence[Sequence[int]],
        version: int,
    ) -> Iterator[tuple[int, list[int]]]:
        """Each of the rows with its new token ids, in the order they are found."""
        searches: dict[Search, list[int]] = {}
        sampled: list[int] = []
        for row in rows:
            search = search_of(requests[row], prompts[row])
            if search.num_beams == 1:
                sampled.append(row)
            else:
                searches.setdefault(search, []).append(row)
        for batch in self._batches(sampled, prompts, self._max_batch):
            texts = self._generate_batch([requests[i] for i in batch], [prompts[i] for i in batch], version)
            yield from zip(batch, texts, strict=True)
        wanted = list(searches)
        for group in groups_of(wanted):
            fitting = max(1, self._max_batch // wanted[group[0]].num_beams)
            for batch in self._batches(group, [search.prompt for search in wanted], fitting):
                found = self._search([wanted[place] for place in batch], version)
                for search, beams in zip((wanted[place] for place in batch), found, strict=True):
                    yield from ((row, beams[requests[row].beam]) for row in searches[search])

    def _batches(self, rows: Sequence[int], prompts: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
        """The rows in batches of prompts of similar lengths: a short prompt beside a long one is mostly padding."""
        batch: list[int] = []
        for row in sorted(rows, key=lambda i: len(prompts[i])):
            if batch and (len(batch) == most or len(prompts[row]) > len(prompts[batch[0]]) * LENGTH_SPREAD + STRIDE):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _search(self, searches: Sequence[Search], version: int) -> list[list[list[int]]]:
        """New token ids of each beam of each search, the best beam first."""
        self._use(version)
        ids, mask = self._padded([search.prompt for search in searches])
        with torch.inference_mode():
            found = find_beams(self._student, self._shelf.model, ids, mask, searches)
        eos, limit = self._student.tokenizer.eos_token_id, searches[0].max_tokens
        return [[_cut(beam, eos, limit) for beam in beams] for beams in found]

    def _padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        ids, mask = pad_prompts(self._student, prompts)
        return ids.to(self._student.device), mask.to(self._student.device)

    def _generate_batch(
        self, requests: Sequence[GenerationRequest], prompts: Sequence[Sequence[int]], version: int
    ) -> list[list[int]]:
        """New token ids of each row, cut after the end of sequence or at the row's own limit."""
        self._use(version)
        with torch.inference_mode():
            if self._student.kind == "causal":
                return self._decode_causal(prompts, requests)
            return self._decode_seq2seq(*self._padded(prompts), requests)

    def _decode_causal(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[GenerationRequest]
    ) -> list[list[int]]:
        """Generate a few tokens at a time, and let rows that have ended leave the batch in between."""
        ids, mask, beginning = *pad_prompts(self._student, prompts), 0
        if sees_whole_text(self._student.model):  # a window counts padding too, so there is to be none inside it
            ids, mask, beginning = pad_behind_beginning(prompts, self._student.tokenizer.pad_token_id)
        ids, mask = ids.to(self._student.device), mask.to(self._student.device)
        width, rows = ids.shape[1], list(range(len(requests)))
        texts: list[list[int]] = [[] for _ in rows]
        cache = shared_prefill(self._shelf.model, ids, mask, beginning)
        while rows:
            active = [requests[row] for row in rows]
            longest = max(request.sampling.max_tokens for request in active)
            stride = min(STRIDE, longest - (ids.shape[1] - width))
            output = self._generate(ids, mask, active, width, stride, cache)
            mask = torch.cat([mask, mask.new_ones(len(rows), output.sequences.shape[1] - ids.shape[1])], dim=1)
            ids, cache = output.sequences, output.past_key_values
            going_on = []
            for place, row in enumerate(rows):
                limit = requests[row].sampling.max_tokens
                texts[row] = _cut(ids[place, width:].tolist(), self._student.tokenizer.eos_token_id, limit)
                if len(texts[row]) < limit and texts[row][-1] != self._student.tokenizer.eos_token_id:
                    going_on.append(place)
            if len(going_on) < len(rows):
                kept = torch.tensor(going_on, device=ids.device, dtype=torch.long)
                ids, mask = ids[kept], mask[kept]
                if going_on:
                    cache.batch_select_indices(kept)
                rows = [rows[place] for place in going_on]
        return texts

    def _decode_seq2seq(self, ids: Tensor, mask: Tensor, requests: Sequence[GenerationRequest]) -> list[list[int]]:
        limits = [request.sampling.max_tokens for request in requests]
        output = self._generate(ids, mask, requests, 1, max(limits), None)  # a decoder begins with its start token
        rows = output.sequences[:, 1:].tolist()
        return [_cut(row, self._student.tokenizer.eos_token_id, limit) for row, limit in zip(rows, limits, strict=True)]

    def _generate(
        self,
        ids: Tensor,
        mask: Tensor,
        requests: Sequence[GenerationRequest],
        start_width: int,
        new_tokens: int,
        cache: DynamicCache | None,
    ) -> Any:
        samplings = [request.sampling for request in requests]
        tokenizer = self._student.tokenizer
        config = GenerationConfig(  # type: ignore[no-untyped-call]  # transformers leaves it untyped
            max_new_tokens=new_tokens,
            do_sample=False,
            return_dict_in_generate=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=getattr(self._student.model.config, "decoder_start_token_id", None),
        )
        return self._shelf.model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            generation_config=config,
            logits_processor=[SeededSampler(samplings, [request.seed for request in requests], start_width)],
            stopping_criteria=[PerRowLength([sampling.max_tokens for sampling in samplings], start_width)],
        )

    def _use(self, version: int) -> None:
        self._shelf.select(version)
        self._shelf.touch(version)


def _cut(ids: list[int], eos: int, limit: int) -> list[int]:
    ids = ids[:limit]
    return ids[: ids.index(eos) + 1] if eos in ids else ids
