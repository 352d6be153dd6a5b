"""Looking at the pages: a real `openmic view` beside the tests, and tabs that notice whatever a page should not do."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

from ..whole_run import clean_environment

PATIENCE_S = 60
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
"""What every answer must allow the browser, and no more."""


@dataclass
class Tab:
    """A tab, and what happened in it that must not happen."""

    page: Page
    origin: str
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        page = self.page
        page.on("request", self._requested)
        page.on("response", self._answered)
        page.on("console", self._logged)
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("websocket", lambda socket: self.problems.append(f"socket: {socket.url}"))
        page.on("popup", lambda popup: self.problems.append(f"window: {popup.url}"))
        page.on("download", lambda file: self.problems.append(f"download: {file.url}"))
        page.on("dialog", self._asked)

    def go(self, path: str) -> Page:
        """Open a page of the viewer; it must be there."""
        answer = self.page.goto(self.origin + path)
        assert answer is not None
        assert answer.status == 200, path
        return self.page

    @property
    def path(self) -> str:
        """Where the tab is, without the viewer's own address."""
        return self.page.url.removeprefix(self.origin)

    def reached(self, pattern: str) -> None:
        """Wait until the tab is where a regular expression says, beginning with the path."""
        self.page.wait_for_url(re.compile(re.escape(self.origin) + pattern))

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.origin + "/", "about:")):
            self.problems.append(f"request: {request.url[:200]}")

    def _answered(self, response: Response) -> None:
        if response.headers.get("content-security-policy") != POLICY:
            self.problems.append(f"policy: {response.url}")

    def _logged(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.problems.append(f"console: {message.text[:300]}")

    def _asked(self, dialog: Any) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


def press(page: Page, key: str) -> None:
    """Press a key on a page that has loaded: its text is there before its scripts listen."""
    page.wait_for_load_state()
    page.keyboard.press(key)


@contextmanager
def tab(browser: Browser, origin: str, **options: Any) -> Iterator[Tab]:
    """A tab of a browser that knows nothing yet; in the end nothing may have gone wrong in it."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_S * 1000)
    try:
        found = Tab(context.new_page(), origin)
        yield found
        assert not found.problems
    finally:
        context.close()


@contextmanager
def viewing(store: str, *more: str) -> Iterator[str]:
    """`openmic view` in a process of its own, as the address that it prints."""
    command = [sys.executable, "-m", "openmic", "view", *more, "--store", store, "--port", "0", "--no-browser"]
    # Output into a pipe that nobody empties would one day stop it; it says one line.
    with subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address.startswith("http://"), address
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_S)


def origin_of(address: str) -> str:
    """The address without path and token, at this machine's loopback address."""
    return f"http://127.0.0.1:{urlsplit(address).port}"
