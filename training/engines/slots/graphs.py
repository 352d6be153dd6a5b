"""Work of fixed shapes, captured once as a CUDA graph and replayed from then on; elsewhere it is just done.

Small models are bound by launching kernels one by one (some 750 a step at 20 to 35 µs each, where the arithmetic takes
1 ms); a graph launches all of them at once.
"""

import logging
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor

from ...student.memory import ran_out

logger = logging.getLogger(__name__)


class Graphs:
    """The graphs of one device, by what they were captured for. They share their memory, and so run one at a time."""

    def __init__(self, device: str) -> None:
        self._capturing = torch.device(device).type == "cuda"
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool = torch.cuda.graph_pool_handle() if self._capturing else None

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, key: Hashable, work: Callable[[], None], state: Sequence[Tensor] = ()) -> None:
        """Do the work, which reads and writes tensors that stay where they are.

        Args:
            key: Names the work, with its shapes: what is captured for one key is replayed for it.
            work: Synchronises nothing, and makes no choice by a tensor's value.
            state: What the work changes, and would get wrong if it were done twice.
        """
        graph = self._graphs.get(key) or (self._captured(key, work, state) if self._capturing else None)
        if graph is None:
            work()
        else:
            graph.replay()

    def clear(self) -> None:
        """Forget all, since what they read has moved."""
        self._graphs.clear()

    def _captured(
        self, key: Hashable, work: Callable[[], None], state: Sequence[Tensor]
    ) -> "torch.cuda.CUDAGraph | None":
        # Libraries make their workspaces ready at the first call, which a capture would take for part of the work.
        before = [tensor.clone() for tensor in state]
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            work()
        torch.cuda.current_stream().wait_stream(aside)
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads of this process may well ask CUDA for something meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            if ran_out(error):
                raise
            why = str(error).strip().splitlines()[0]
            logger.warning("this student's steps cannot be captured as CUDA graphs, and go on without (%.200s)", why)
            self._capturing = False
            return None
        self._graphs[key] = graph
        return graph
