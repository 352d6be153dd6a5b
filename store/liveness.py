"""Whether a run that is said to be running is: the lock of whoever carries it out decides. Taking that lock.

A process that was killed wrote no other word. Its lock went with it.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from filelock import FileLock, Timeout

from ..core.errors import ConfigError, NotFoundError, StoreError, StoreFaultError
from ..core.files.private import FILE, private_file, private_folder
from ..core.ids import derive_id, new_id
from .dialects.holding import held_elsewhere, this_process
from .places import claim, is_same, owner
from .reading import Reader
from .store import Store
from .tables.transcript import Run, RunStatus

LOOKED_AT_S = 0.5
"""How long whoever looks whether a run is being carried out may hold its lock, and more."""

_USED = "used-"
"""What the names of lock files begin with, in a run's folder, of processes that read what it made."""
PRUNED = "pruned"
"""The file in a run's folder that says that whoever holds it deletes it."""
LiveStatus = RunStatus | Literal["died"]
"""A run's status as it is; `died` ended without a word, and can be resumed."""


def run_folder(reader: Reader, run: Run) -> Path:
    """The folder of a run's files."""
    return Path(reader.located(run.home))


def run_lock(reader: Reader, run: Run) -> FileLock:
    """The lock that whoever carries the run out holds on this machine."""
    return FileLock(run_folder(reader, run) / "lock", mode=FILE)


def live_status(reader: Reader, run: Run) -> LiveStatus:
    """The run's status; `died` where it says that it is running and nobody is carrying it out."""
    return "died" if run.status == "running" and not is_carried_out(reader, run) else run.status


def is_carried_out(reader: Reader, run: Run) -> bool:
    """Whether a process has the run in hand, here or, with a database server, on another machine."""
    held = reader.held_on_server(named(run))
    if held is not None:
        return held
    lock = run_lock(reader, run)
    return Path(lock.lock_file).exists() and _is_held(lock)


def is_folder_held(folder: Path) -> bool:
    """Whether a process has the run of a folder in hand on this machine."""
    return (folder / "lock").exists() and _is_held(FileLock(folder / "lock", mode=FILE))


def _is_held(lock: FileLock) -> bool:
    try:
        with lock.acquire(blocking=False):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's file, or a file system that takes no writing: the word is all there is
        return True


@contextmanager
def held_run(store: Store, run: Run) -> Iterator[None]:
    """Hold a run here, by a file beside what it writes, and in the store, where other machines see it.

    Raises:
        ConfigError: another process holds it, or its folder is another store's; it is named.
        NotFoundError: the store has it no more.
    """
    gone = NotFoundError(f"run {run.id} is gone: it was deleted meanwhile (db prune)")
    if store.get(Run, run.id) is None:
        raise gone
    folder = private_folder(run_folder(store, run))
    with held_here(store, run), store.sole_writer(named(run)):
        if store.get(Run, run.id) is None:
            raise gone
        if (other := owner_of_folder(store, run)) is not None:
            raise ConfigError(
                f"the folder {str(folder)!r} of run {run.id} belongs to the store {other!r}, of which this one is a "
                "copy: go on with the run there, or copy the folder beside this store; where that one is lost, move "
                "what is left of its file away"
            )
        with suppress(OSError):  # as above: then nobody but its user deletes the folder
            if owner(folder) is None or store.dialect == "sqlite":
                claim(store.url, folder)
        (folder / PRUNED).unlink(missing_ok=True)  # left by one who was killed
        yield


def owner_of_folder(store: Store, run: Run) -> str | None:
    """Another store that a run's folder belongs to; None where it is this one's.

    So it is where this store is a copy that has the run, too, without its folder. A folder goes with a store that was
    given another name.
    """
    said = owner(run_folder(store, run))
    if said is None or is_same(store.url, said) or store.dialect != "sqlite":
        return None  # a server has many addresses
    if "://" in said:
        return said
    try:
        with Store.open_readonly(said) as other:
            return said if other.get(Run, run.id) is not None else None
    except StoreFaultError:
        return said
    except StoreError:
        return None  # there is none, or it is none


@contextmanager
def in_use(reader: Reader, run: Run) -> Iterator[None]:
    """Keep a run from being pruned while what it made is read, as by a server.

    Anybody may carry it out meanwhile. It is seen on this machine alone. Where the run's folder is not there, or takes
    no files, nothing keeps it.

    Raises:
        NotFoundError: On entering: it is just being pruned.
    """
    folder = run_folder(reader, run)
    lock = FileLock(folder / f"{_USED}{new_id()}.lock", mode=FILE)
    with ExitStack() as stack:
        if folder.is_dir():
            with suppress(OSError):
                lock.acquire()
                stack.callback(lock.release)
                stack.callback(Path(lock.lock_file).unlink, missing_ok=True)
        # Each of the two says what it does before it looks at the other's word, so that one of them sees it.
        if (folder / PRUNED).exists() and _is_held(run_lock(reader, run)):
            raise NotFoundError(f"run {run.id} is being pruned by another process")
        yield


@contextmanager
def being_pruned(store: Store, run: Run) -> Iterator[None]:
    """Say of a held run that it is to be deleted, so that nobody begins to read it.

    It stays said of one that is gone.

    Raises:
        OSError: On entering: it cannot be said.
    """
    said = run_folder(store, run) / PRUNED
    private_file(said)
    try:
        yield
    finally:
        with suppress(StoreError, OSError):
            if store.get(Run, run.id) is not None:
                said.unlink(missing_ok=True)


def is_in_use(reader: Reader, run: Run) -> bool:
    """Whether a process reads what the run made, and says so."""
    return any(_is_held(FileLock(path, mode=FILE)) for path in run_folder(reader, run).glob(f"{_USED}*.lock"))


class ExperimentSeed(NamedTuple):
    """All runs of an experiment that have one seed: what one process carries out at a time."""

    experiment: str
    seed: int


@contextmanager
def held_experiment(store: Store, name: str, seeds: Iterable[int]) -> Iterator[None]:
    """Hold seeds of an experiment of a store: by files beside the store's, or on the store's server.

    Raises:
        ConfigError: another process holds one of them; it is named.
    """
    wanted = [ExperimentSeed(name, seed) for seed in sorted(set(seeds))]
    with ExitStack() as stack:
        for one in wanted:
            stack.enter_context(held_here(store, one))
        stack.enter_context(store.sole_writer(*map(named, wanted)))
        yield


def named(held: Run | ExperimentSeed) -> str:
    """A run, or a seed of an experiment, as it is held and told."""
    return f"run {held.id}" if isinstance(held, Run) else f"experiment {held.experiment!r} with seed {held.seed}"


def held_here(store: Store, held: Run | ExperimentSeed) -> AbstractContextManager[None]:
    """Hold a run whose folder is there, or a seed of an experiment, on this machine alone.

    An experiment of a store on a server is held there, and not here.

    Raises:
        ConfigError: on entering: another process holds it; it is named.
        OSError: likewise: the lock may not be written.
    """
    if isinstance(held, Run):
        return _held_file(run_lock(store, held), named(held))
    if store.dialect != "sqlite":
        return nullcontext()
    folder = private_folder(Path(store.located("experiments")))  # whatever homes its arms have
    return _held_file(FileLock(folder / f"{derive_id('experiment', *held)}.lock", mode=FILE), named(held))


@contextmanager
def _held_file(lock: FileLock, what: str) -> Iterator[None]:
    """Hold a lock file, with a word beside it of who does."""
    holder = Path(f"{lock.lock_file}.holder")
    try:
        lock.acquire(timeout=LOOKED_AT_S)
    except Timeout:
        raise held_elsewhere(what, _said_in(holder)) from None
    try:
        with suppress(OSError):  # a full disk takes no word, and keeps nobody from going on
            private_file(holder).write_text(this_process(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


def _said_in(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8", errors="replace")
    except OSError:  # it was let go of a moment ago, or is only looked at
        return ""
