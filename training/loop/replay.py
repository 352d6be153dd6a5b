"""Forward and backward passes of fixed shapes, captured once as CUDA graphs and replayed from then on.

A small model's training step launches thousands of kernels one by one, which takes longer than what they compute. The
objective stands between the two graphs as it is, so that it may be anybody's.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..student.memory import ran_out

logger = logging.getLogger(__name__)
Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Takes work of fixed shapes and returns what does it again."""


class Replays:
    """The passes of one model, by the shapes of what goes in. A shape is captured when it comes up for the second time.

    Gradients are added to those that the parameters have, which must be there.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Tensor]], Tensor],
        parameters: Sequence[Tensor],
        capture: Capture | None = None,
    ) -> None:
        """Capture nothing yet.

        Args:
            compute: From tensors to one tensor; synchronises nothing, and makes no choice by a tensor's value.
            parameters: What gradients are wanted of.
            capture: Default: as a CUDA graph.
        """
        self._compute, self._parameters = compute, parameters
        self._capture = capture or _Graphs()
        self._passes: dict[tuple[torch.Size, ...], _Pass | None] = {}
        self._failed = False
        self._anchor = torch.zeros((), requires_grad=True, device=parameters[0].device)

    def __call__(self, inputs: Sequence[Tensor]) -> Tensor | None:
        """What `compute` gives, from a graph; None where there is none for these shapes (yet)."""
        key = tuple(part.shape for part in inputs)
        if self._failed or key not in self._passes:
            self._passes[key] = None
            return None
        found = self._passes[key]
        if found is None:
            try:
                found = self._passes[key] = _Pass(self._compute, self._parameters, inputs, self._capture)
            except RuntimeError as error:
                if ran_out(error):  # with fewer rows it may well work
                    raise
                why = str(error).strip().splitlines()[0]
                logger.warning("this training cannot be captured as CUDA graphs, and goes on without (%.200s)", why)
                self._failed = True
                self._passes.clear()
                return None
        given: Tensor = _Replayed.apply(self._anchor, found, *inputs)  # type: ignore[no-untyped-call]  # torch's
        return given


class _Pass:
    """Both passes of one shape: where what goes in and comes out lies, and what computes it again."""

    def __init__(
        self,
        compute: Callable[[Sequence[Tensor]], Tensor],
        parameters: Sequence[Tensor],
        inputs: Sequence[Tensor],
        capture: Capture,
    ) -> None:
        self.parameters = parameters
        self.inputs = [part.clone() for part in inputs]
        self.output = self.output_gradient = torch.empty(0)
        self.gradients: Sequence[Tensor | None] = ()

        def forward() -> None:
            with torch.enable_grad():
                self.output = compute(self.inputs)

        def backward() -> None:
            self.gradients = torch.autograd.grad(self.output, self.parameters, self.output_gradient, allow_unused=True)

        if self.inputs[0].is_cuda:  # libraries make their workspaces ready at the first call on a stream
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                forward()
                self.output_gradient = torch.zeros_like(self.output)
                backward()
            torch.cuda.current_stream().wait_stream(aside)
            torch.cuda.synchronize()
        self.forward = capture(forward)
        if not self.inputs[0].is_cuda:
            self.forward()
        self.output_gradient = torch.zeros_like(self.output)
        self.backward = capture(backward)


class _Replayed(torch.autograd.Function):
    """A pass as part of whatever is computed of it."""

    @staticmethod
    def forward(ctx: Any, _: Tensor, one: _Pass, *inputs: Tensor) -> Tensor:
        for place, given in zip(one.inputs, inputs, strict=True):
            place.copy_(given)
        one.forward()
        ctx.one, ctx.count = one, len(inputs)
        return one.output.detach().clone()

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[None, ...]:
        one: _Pass = ctx.one
        one.output_gradient.copy_(gradient[0])
        one.backward()
        have, more = list[Tensor](), list[Tensor]()
        for parameter, found in zip(one.parameters, one.gradients, strict=True):
            if found is not None:
                assert parameter.grad is not None
                have.append(parameter.grad)
                more.append(found)
        torch._foreach_add_(have, more)
        count: int = ctx.count
        return (None,) * (2 + count)


class _Graphs:
    """Captures into memory that all graphs share: they run one after the other, a forward pass before its backward."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        # Other threads of this process may well ask CUDA for something meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            work()
        return graph.replay
