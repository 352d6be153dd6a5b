"""The browser that the tests look at the pages with: a Chromium of the machine, without a window."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""Whatever a page might ask for elsewhere has no address."""


def find_chromium() -> Path:
    """The program.

    Raises:
        RuntimeError: There is none on this machine.
    """
    for found in (*map(shutil.which, NAMES), *(place for place in PLACES if Path(place).exists())):
        if found:
            return Path(found)
    raise RuntimeError(
        "the tests look at the viewer's pages in Chromium, which is not installed: `apt-get install chromium` on "
        "Debian, or put `chromium` or `google-chrome` on the PATH"
    )


@contextmanager
def running() -> Iterator[Browser]:
    """A browser. While it runs, this thread has an event loop: no other can be started in it."""
    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[OFFLINE])
        try:
            yield browser
        finally:
            browser.close()
