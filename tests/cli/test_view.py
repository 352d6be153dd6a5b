"""`openmic view` as a process of its own, spoken to over HTTP."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from openmic.store import Store

from ..store.rows import run
from ..whole_run import clean_environment
from .conftest import Openmic

PATIENCE_S = 120


@pytest.fixture
def address(tmp_path: Path) -> str:
    """A store with one run."""
    with Store.open(str(tmp_path / "store.db")) as store:
        store.add(run())
        return store.address


@contextmanager
def viewing(address: str, *arguments: str) -> Iterator[str]:
    """The address that the command prints when it answers; it ends well when it is told to stop."""
    command = [sys.executable, "-m", "openmic", "view", *arguments, "--store", address, "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment()) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_it_prints_the_address_of_the_run_and_shows_it(address: str) -> None:
    with viewing(address, "latest") as shown:
        assert shown.startswith("http://127.0.0.1:")
        assert shown.endswith("/runs/RUN1")
        assert "first" in httpx.get(shown, timeout=PATIENCE_S).text


@pytest.mark.slow
def test_elsewhere_it_prints_a_token_without_which_nothing_is_shown(address: str) -> None:
    with viewing(address, "--host", "0.0.0.0") as shown:
        url = httpx.URL(shown).copy_with(host="127.0.0.1")
        assert len(url.params["token"]) >= 32
        assert httpx.get(url.copy_with(query=None), timeout=PATIENCE_S).status_code == 403
        with httpx.Client(timeout=PATIENCE_S, follow_redirects=True) as browser:
            assert "first" in browser.get(url).text


def test_a_run_or_a_store_that_is_not_there_is_said(openmic: Openmic, address: str) -> None:
    missing = openmic("view", "zzz", "--store", address)
    assert missing.code == 2
    assert "no run goes by 'zzz'" in missing.err
    assert openmic("view", "--store", "none.db").code == 2
