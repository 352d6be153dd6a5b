"""A run that a process has in hand, as the one that carries it out has."""

from collections.abc import Iterator
from contextlib import contextmanager

from openmic.store import Run, Store
from openmic.store.liveness import held_run


@contextmanager
def in_hand(store: Store, run_id: str) -> Iterator[None]:
    """Hold a run for the time of the block; its home is made where it is not there."""
    run = store.get(Run, run_id)
    assert run is not None
    with held_run(store, run):
        yield
