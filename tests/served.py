"""Servers that tests have in threads of this process."""

import sys
import threading
import traceback

PATIENCE_S = 60.0


def end_thread(thread: threading.Thread) -> None:
    """Wait for a server's thread that was told to end.

    Raises:
        AssertionError: It did not; with what it was at.
    """
    thread.join(PATIENCE_S)
    if thread.is_alive():
        frame = sys._current_frames().get(thread.ident or 0)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "no stack"
        raise AssertionError(f"{thread.name} did not end within {PATIENCE_S:.0f} s; it was at:\n{stack}")
