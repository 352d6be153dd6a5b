"""Several processes that train one adapter together, each on its share of every batch (data parallelism).

Each has the whole model. LoRA's gradients are small, so they are added up over all processes by one flat all-reduce of
torch.distributed, after which each takes the same optimizer step. Not for models that do not fit on one device.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.nn import Parameter

from .job import PeerLostError

T = TypeVar("T")


class ProcessGroup:
    """The processes that train together, as one of them sees them. All call every method, in the same order.

    In a single process nothing is sent and nothing is copied.
    """

    def __init__(self, index: int = 0, count: int = 1) -> None:
        """`index` is which of the `count` processes this is, from 0."""
        self.index, self.count = index, count

    @property
    def first(self) -> bool:
        """Whether it is this process that commits and keeps checkpoints."""
        return self.index == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part: neighbours stay together, parts differ by at most one item and may be empty."""
        if self.count == 1:
            return items
        start, end = (len(items) * place // self.count for place in (self.index, self.index + 1))
        return items[start:end]

    def all_reduce(self, parameters: Sequence[Parameter]) -> None:
        """Make every parameter's gradient the sum over all processes, the same in each to the last bit."""
        if self.count == 1:
            return
        parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        flat = torch.cat([part.flatten() for part in parts])
        with _peers():
            distributed.all_reduce(flat)
        for parameter, part in zip(parameters, torch.split(flat, [part.numel() for part in parts]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def all_gather(self, value: T) -> list[T]:
        """What each process has, in the order of their indices. Tensors in it belong on the CPU."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        with _peers():
            distributed.all_gather_object(found, value)
        return found

    def broadcast(self, value: T | None) -> T | None:
        """What the first process has; the others' values play no part. Tensors in it belong on the CPU."""
        if self.count == 1:
            return value
        found = [value]
        with _peers():
            distributed.broadcast_object_list(found, src=0)
        return found[0]


SINGLE = ProcessGroup()


class Rendezvous:
    """Where the processes of one training find one another; the first of them listens there."""

    def __init__(self, count: int) -> None:
        self._host = _address_of_this_node()
        # Left to itself torch listens on all of the machine's addresses; on one machine this one is loopback.
        listener = socket.create_server((self._host, 0))
        self._port = int(listener.getsockname()[1])
        self._store = _store(self._host, self._port, count, is_master=True, master_listen_fd=listener.detach())

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, which the others connect to."""
        return self._host, self._port


@contextmanager
def rendezvous(index: int, count: int, address: tuple[str, int] | None, *, own_gpu: bool) -> Iterator[ProcessGroup]:
    """Connect the processes for the time of one training. `address` is None for a single process.

    Raises:
        PeerLostError: one of the others is gone, also within the block.
    """
    if address is None:
        yield SINGLE
        return
    _use_interface_of_this_node()
    # NCCL refuses two processes on one GPU; objects and random states are sent from the CPU in any case.
    backend = "cpu:gloo,cuda:nccl" if own_gpu and torch.cuda.is_available() else "gloo"
    with _peers():
        store = _store(*address, count, is_master=False)
        distributed.init_process_group(backend, store=store, rank=index, world_size=count)
    try:
        yield ProcessGroup(index, count)
    finally:
        distributed.destroy_process_group()


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch.distributed.DistError, and of gloo a bare one
        raise PeerLostError(f"a process that trains with this one is gone: {error}") from error


def _store(host: str, port: int, count: int, *, is_master: bool, **listening: int) -> Any:
    kind: Any = distributed.TCPStore  # type: ignore[attr-defined]  # torch documents it, and does not list it
    return kind(host, port, count, is_master=is_master, wait_for_workers=False, **listening)


def _address_of_this_node() -> str:
    import ray

    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]  # Ray leaves it untyped


def _use_interface_of_this_node() -> None:
    """Where a host's name means loopback, as on Debian, gloo would not find the other hosts."""
    import psutil

    host = _address_of_this_node()
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.family == socket.AF_INET and one.address == host for one in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
