"""The `static` engine: a batch of requests through `generate`, with LoRA adapters loaded beside the base model.

Works for causal and sequence-to-sequence students on any device. It knows nothing of actors or queues; one thread at a
time may call it. A finished row costs until its batch is done.
"""

import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from ..core.errors import AdapterError, GenerationError
from ..core.records import AdapterRef, Generation, GenerationRequest
from .adapters import verify_adapter
from .seeded_sampling import PerRowLength, SeededSampler
from .student import LoadedStudent
from .tokenization import pad_left, render_prompt

ADAPTERS_KEPT = 3
"""Adapters held in memory at once; the least recently used one is dropped beyond that."""


class StaticEngine:
    """Generates with any loaded adapter version; version 0 is the base model."""

    def __init__(self, student: LoadedStudent, *, max_batch: int, worker: str = "local") -> None:
        self._student = student
        self._model: Any = student.model
        self._max_batch = max_batch
        self._worker = worker
        self._loaded: dict[int, str] = {}
        self.current = 0

    def load_adapter(self, ref: AdapterRef, *, make_current: bool = True) -> None:
        """Verify an adapter's files and load it; the one that was current stays loaded, and current on failure.

        Raises:
            AdapterError: the files are not what was committed, or do not fit the student.
        """
        if ref.version and ref.version not in self._loaded:
            folder, name = str(verify_adapter(ref)), f"v{ref.version}"
            try:
                self._attach(folder, name)
            except (ValueError, RuntimeError, KeyError, OSError) as error:
                raise AdapterError(
                    f"adapter version {ref.version} does not load on {self._student.name!r}: {error}"
                ) from error
            self._loaded[ref.version] = name
        if make_current:
            self.current = ref.version
        self._drop_old(keep={self.current, ref.version})

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer all requests, in their order; batches are made per adapter version and by prompt length.

        Raises:
            GenerationError: a request names an adapter that is not loaded.
        """
        began = time.monotonic()
        prompts = [render_prompt(self._student, request.messages) for request in requests]
        versions = [self.current if request.adapter is None else request.adapter for request in requests]
        answers: dict[int, Generation] = {}
        for version in sorted(set(versions)):
            if version and version not in self._loaded:
                raise GenerationError(f"adapter version {version} is not loaded; loaded are {[0, *self._loaded]}")
            rows = sorted((i for i, v in enumerate(versions) if v == version), key=lambda i: len(prompts[i]))
            for start in range(0, len(rows), self._max_batch):
                batch = rows[start : start + self._max_batch]
                texts = self._generate_batch([requests[i] for i in batch], [prompts[i] for i in batch], version)
                latency_ms = (time.monotonic() - began) * 1000
                for i, ids in zip(batch, texts, strict=True):
                    answers[i] = self._generation(requests[i], ids, len(prompts[i]), version, latency_ms)
        return [answers[i] for i in range(len(requests))]

    def _generate_batch(
        self, requests: Sequence[GenerationRequest], prompts: Sequence[Sequence[int]], version: int
    ) -> list[list[int]]:
        """New token ids of each row, cut after the end of sequence or at the row's own limit."""
        tokenizer = self._student.tokenizer
        ids, mask = pad_left(prompts, tokenizer.pad_token_id)
        start_width = ids.shape[1] if self._student.kind == "causal" else 1  # a decoder begins with its start token
        samplings = [request.sampling for request in requests]
        limits = [sampling.max_tokens for sampling in samplings]
        config = GenerationConfig(
            max_new_tokens=max(limits),
            do_sample=False,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=getattr(self._model.config, "decoder_start_token_id", None),
        )
        self._select(version)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=ids.to(self._student.device),
                attention_mask=mask.to(self._student.device),
                generation_config=config,
                logits_processor=[SeededSampler(samplings, [request.seed for request in requests], start_width)],
                stopping_criteria=[PerRowLength(limits, start_width)],
            )
        eos = tokenizer.eos_token_id
        return [_cut(row, eos, limit) for row, limit in zip(output[:, start_width:].tolist(), limits, strict=True)]

    def _generation(
        self, request: GenerationRequest, ids: list[int], prompt_tokens: int, version: int, latency_ms: float
    ) -> Generation:
        ended = bool(ids) and ids[-1] == self._student.tokenizer.eos_token_id
        return Generation(
            request_id=request.id,
            text=self._student.tokenizer.decode(ids, skip_special_tokens=True).strip(),
            token_ids=tuple(ids),
            prompt_tokens=prompt_tokens,
            adapter_version=version,
            finish_reason="stop" if ended else "length",
            queue_ms=0.0,
            latency_ms=latency_ms,
            worker=self._worker,
        )

    def _attach(self, folder: str, name: str) -> None:
        from peft import PeftModel

        if self._loaded:
            self._model.load_adapter(folder, adapter_name=name)
        else:
            self._model = PeftModel.from_pretrained(self._student.model, folder, adapter_name=name)
        self._model.eval()

    def _select(self, version: int) -> None:
        if not self._loaded:
            return
        if version == 0:
            self._model.base_model.disable_adapter_layers()
        else:
            self._model.base_model.enable_adapter_layers()
            self._model.set_adapter(self._loaded[version], inference_mode=True)

    def _drop_old(self, keep: set[int]) -> None:
        for version in list(self._loaded):
            if len(self._loaded) <= ADAPTERS_KEPT:
                return
            if version not in keep:
                self._model.delete_adapter(self._loaded.pop(version))


def _cut(ids: list[int], eos: int, limit: int) -> list[int]:
    ids = ids[:limit]
    return ids[: ids.index(eos) + 1] if eos in ids else ids
