"""The failure model: every error a person can cause, or mend, has a class here.

Each message says what happened, which item it happened to, and what to do about it. Anything else that is raised is a
defect of openmic and keeps its traceback. A dialogue that fails is data, not a crash: it is recorded and the run goes
on.

The exit codes are those of the command line: 0 done, 1 failed, 2 usage or configuration, 3 finished with
failures (of demonstrations, dialogues or evaluations), 4 the budget is spent, 130 interrupted.
"""

import errno
import os
from pathlib import Path
from typing import Any, ClassVar

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class OpenmicError(Exception):
    """Something went wrong that the person at the keyboard can understand and act upon."""

    exit_code: ClassVar[int] = 1
    run: Any = None
    """The run that was begun and can be resumed (an `openmic.Run`), where the error ended one."""


class ConfigError(OpenmicError):
    """The configuration, or a command's arguments, cannot be meant as they are."""

    exit_code = 2


class InputError(OpenmicError):
    """An input file is missing, malformed or holds something that cannot be used."""

    exit_code = 2


class TaskError(OpenmicError):
    """A task file is malformed or one of its prompts cannot be rendered."""

    exit_code = 2


class StudentError(OpenmicError):
    """The student cannot be had: no such weights, or an architecture openmic cannot train."""

    exit_code = 2


class StudentChangedError(StudentError):
    """The files of the student's weights are not those that its run began with. The run goes on with those alone."""

    exit_code = 1


class EndpointSetupError(OpenmicError):
    """An endpoint cannot be reached, rejects the key, or lacks the model; found before anything is spent."""

    exit_code = 2


class StoreError(OpenmicError):
    """The store cannot be opened or understood: there is none, it is another program's, or its address is wrong."""

    exit_code = 2


class StoreFaultError(StoreError):
    """The store refused what was to be done with it: damaged, read-only, or asked for what cannot be.

    Nothing that was done before is lost; a run that it ended can be resumed.
    """

    exit_code = 1


class StoreBusyError(StoreFaultError):
    """Another process kept the store locked, or its server was gone, for longer than was waited."""


class StoreFullError(StoreFaultError):
    """There is no room for what was to be stored."""


class NotFoundError(OpenmicError):
    """No run, dialogue or turn goes by that name."""

    exit_code = 2


class EndpointError(OpenmicError):
    """An endpoint stopped answering during a run, after all retries."""


class EndpointLostError(OpenmicError):
    """No request to an endpoint will be answered until a person mends something: a key, an account, a server.

    Ends the run, which can be resumed then; no item is marked as failed for it.
    """


class ReplyError(OpenmicError):
    """A model's reply could not be read as what was asked for. Fails one dialogue, never a run."""


class PlugError(ReplyError):
    """A Python object that plays a role failed, or answered what it may not. Fails one dialogue, never a run."""


class GenerationError(OpenmicError):
    """The student could not answer this request, though it answers others. Fails one dialogue, never a run."""


class StudentLostError(OpenmicError):
    """No student answers until something is mended: its server, a key, its machine. Ends the run, which goes on then.

    No item is marked as failed for it.
    """


class UnansweredError(StudentLostError):
    """The student did not answer a request, for a fault of that or its own. The pool finds out which."""


class RayLostError(OpenmicError):
    """What Ray cannot be without, on this machine or a cluster's head, is gone. The run goes on when it is resumed."""


class MemoryFullError(OpenmicError):
    """There is no memory for what is to be done, even piece by piece. Ends the run, which can be resumed."""


class WorkerLostError(OpenmicError):
    """Every worker that held a dialogue ended meanwhile. Fails one dialogue; a run where no worker is left."""


ITEM_ERRORS = (EndpointError, ReplyError, GenerationError)
"""What fails one item, a dialogue or a demonstration, and not the run."""


class OverloadError(GenerationError):
    """A student actor holds as many requests as it may. The pool waits and asks again; dialogues do not see this."""


class AdapterError(OpenmicError):
    """An adapter is incomplete, was altered since it was committed, or does not fit the student."""


class AlteredAdapterError(AdapterError):
    """A file of an adapter is missing, or is not as it was when the adapter was committed."""


class TrainingError(OpenmicError):
    """Fine-tuning could not be carried out: no examples, or a loss that is not a number."""


class InterruptedRunError(OpenmicError):
    """The run was interrupted; what was done is in the store and `openmic resume` goes on from it."""

    exit_code = 130


class BudgetError(OpenmicError):
    """The run has taken what its budget allows; what was done is stored, and with more it goes on."""

    exit_code = 4
    key: str = "budget"
    """The configuration's key whose limit was reached."""


def told_of_disk(error: OSError) -> str | None:
    """What the system would not read or write, and how to mend it. None where nobody but us can."""
    if error.errno not in _FULL | _FORBIDDEN:
        return None
    place = f"{str(error.filename)!r}" if error.filename is not None else "a file"
    failed, advice = "written", "make room" if error.errno in _FULL else "make it writable"
    if error.errno in {errno.EACCES, errno.EPERM} and isinstance(error.filename, str | Path):
        above = [folder for folder in Path(error.filename).absolute().parents if _permits(folder, os.F_OK)]
        if not all(_permits(folder, os.X_OK) for folder in above):
            failed, advice = "reached", "let yourself into the folders above it"
        elif not _permits(error.filename, os.F_OK):
            pass  # there is none yet: it was to be made
        elif not _permits(error.filename, os.R_OK):
            failed, advice = "read", "make it readable"
    return f"{place} cannot be {failed}: {error.strerror}; {advice}, or name another place"


def may_not_write(error: OSError) -> bool:
    """Whether the system forbids it, as against a disk that is full or broken."""
    return error.errno in _FORBIDDEN


def _permits(path: str | Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
