"""A run that a process has in hand, as the one that carries it out has."""

from collections.abc import Iterator
from contextlib import contextmanager

from openmic.store import Run, Store
from openmic.store.liveness import run_folder, run_lock


@contextmanager
def in_hand(store: Store, run_id: str) -> Iterator[None]:
    """Hold a run's lock for the time of the block; its home is made where it is not there."""
    run = store.get(Run, run_id)
    assert run is not None
    run_folder(store, run).mkdir(parents=True, exist_ok=True)
    with run_lock(store, run), store.sole_writer(run.id):
        yield
