"""Servers that tests have in threads of this process."""

import sys
import threading
import traceback

PATIENCE_S = 60.0


def end_thread(thread: threading.Thread) -> None:
    """Wait for a server's thread, a daemon, that was told to end; one that does not is left, and shown.

    On a crowded machine a thread now and then did not come to it within a minute. That servers of openmic's end when
    they are told is shown by tests of their own, in processes of their own.
    """
    thread.join(PATIENCE_S)
    if thread.is_alive():
        frame = sys._current_frames().get(thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "no stack"
        sys.stderr.write(f"{thread.name} did not end within {PATIENCE_S:.0f} s; it was at:\n{stack}")
