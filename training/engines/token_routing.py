"""Each row of a continuous batch draws with its own sampling, and each token goes through its request's adapter.

transformers' continuous batching has one sampling for all requests and knows of no adapters. Both are put in by what it
asks of its logits processors before every step: there all requests of the step are at hand, in order.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.generation.continuous_batching.cb_logits_processors import ContinuousBatchingLogitsProcessorList

from .adapter_slots import AdapterSlots
from .seeded_sampling import draw


@dataclass(frozen=True, slots=True)
class RequestParams:
    """What a request in a continuous batch is computed with."""

    version: int
    prompt_tokens: int
    temperature: float
    top_p: float
    uniform: tuple[float, ...]
    """A random number in [0, 1) for each token it may generate."""

    def uniform_at(self, position: int) -> float:
        """The random number for the token that follows `position` others, the prompt's included."""
        return self.uniform[min(position - self.prompt_tokens, len(self.uniform) - 1)]


Spans = list[tuple[int, int]]
"""Adapter version and number of tokens, for each request of a step in order."""


class RowSampler(ContinuousBatchingLogitsProcessorList):
    """Stands in for the list of logits processors; requests bring `RequestParams` as the keyword argument `params`.

    Args:
        before_step: Called before every step, in the thread that generates.
    """

    def __init__(self, before_step: Callable[[Spans], None]) -> None:
        super().__init__(LogitsProcessorList())
        self._before_step = before_step
        self._greedy = False
        self.tensors_required = 3
        self.supported_keys = {"params": RequestParams}
        self.do_processing = True

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """[3, 1] in place: what stands in rows that nobody has."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_in_batch: Sequence[Any], arg_storage: Tensor) -> Tensor:
        """[3, columns] in place: random number, temperature and top-p of each request that gets a token now."""
        self._before_step([(_params(each).version, each.query_length) for each in requests_in_batch])
        columns = [
            (params.uniform_at(each.state.position_offset), params.temperature, params.top_p)
            for each in requests_in_batch
            if each.has_new_token
            for params in [_params(each)]
        ]
        self._greedy = all(temperature == 0 for _, temperature, _ in columns)
        if columns and not self._greedy:
            values = torch.tensor(columns, dtype=torch.float32).T.contiguous().view(torch.int32)
            arg_storage[:3, : len(columns)] = values.to(arg_storage.device)
        return arg_storage

    def __call__(self, input_ids: Tensor, scores: Tensor, logits_processor_args: Tensor) -> Tensor:
        """[B, V] scores of which each row's chosen token has the highest."""
        if self._greedy:
            return scores
        uniform, temperature, top_p = logits_processor_args[:3, : len(scores)].view(torch.float32).unsqueeze(-1)
        chosen = draw(scores, uniform, temperature, top_p)
        return torch.zeros_like(scores, dtype=torch.uint8).scatter_(-1, chosen, 1)


class TokenRouter:
    """Sends the tokens of a step, all in one row, through the adapters of their requests."""

    def __init__(self, slots: AdapterSlots) -> None:
        self._slots = slots
        self._hooks: list[Any] = []
        self._names: list[str] | None = None

    def hook(self) -> None:
        """Find the layers with adapters; to be called whenever the slots have changed, while nothing is generated."""
        from peft.tuners.lora import LoraLayer

        for handle in self._hooks:
            handle.remove()
        layers: list[Any] = [module for module in self._slots.model.modules() if isinstance(module, LoraLayer)]
        self._hooks = [layer.register_forward_pre_hook(self._before, with_kwargs=True) for layer in layers]
        self._hooks += [layer.register_forward_hook(self._after) for layer in layers]

    def route(self, spans: Spans) -> None:
        """Set the adapters of the next step."""
        versions = {version for version, _ in spans}
        if len(versions) == 1:
            self._names = None
            self._slots.select(versions.pop())
        else:
            self._names = [name for version, count in spans for name in [self._slots.name(version)] * count]
            self._slots.select_by_row()

    def _before(self, _: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self._names is None:
            return None
        # PEFT mixes adapters along the first dimension; here it is 1, and the tokens of all requests are the second.
        tokens, *others = args
        return (tokens.squeeze(0), *others), options | {"adapter_names": self._names}

    def _after(self, _: Any, __: Any, output: Tensor) -> Tensor | None:
        return None if self._names is None else output.unsqueeze(0)


def _params(future: Any) -> RequestParams:
    params = future.state.logit_processor_kwargs["params"]
    assert isinstance(params, RequestParams)
    return params
