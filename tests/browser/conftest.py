"""A browser, and pages over the run of tests/viewer/transcripts.py.

None of them outlives this folder: a browser that runs keeps other tests from starting an event loop.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from openmic.store import Store

from ..viewer.transcripts import held, write
from . import chromium
from .looking import Tab, origin_of, tab, viewing

MORE = 60
"""Dialogues beside those of `write`: more than fit on a page."""


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """`make test` installs the program where it may; where it may not, these tests are skipped and say so."""
    try:
        chromium.find_chromium()
    except RuntimeError as error:
        pytest.skip(str(error))
    with chromium.running() as browser:
        yield browser


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store, open for writing as a run's driver has it. What tests add must not be in each other's way."""
    with Store.open(str(tmp_path_factory.mktemp("looked-at") / "store.db")) as opened:
        write(opened)
        opened.add(*held(*range(1, MORE + 1)))
        yield opened


@pytest.fixture(scope="package")
def origin(store: Store) -> Iterator[str]:
    """The beginning of all addresses of the pages over the store, without a slash."""
    with viewing(store.address) as address:
        yield origin_of(address)


@pytest.fixture
def opened(browser: Browser, origin: str) -> Iterator[Tab]:
    """A tab."""
    with tab(browser, origin) as found:
        yield found
