"""The command that takes the README's pictures still finds what they show."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from openmic.store import Store

from ..store.rows import run
from .screenshots import pages_of, picture


def test_it_writes_the_pictures_that_the_readme_shows(browser: Browser, store: Store, tmp_path: Path) -> None:
    made = picture(browser, store.address, tmp_path, "RUN1")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert len(made) == 3
    for path in made:
        assert f"docs/images/{path.name}" in readme
        assert path.read_bytes().startswith(b"\x89PNG")


def test_a_run_without_a_revision_is_refused(store: Store) -> None:
    store.add(run(id="BARE", status="finished"))
    with pytest.raises(SystemExit, match="no revision"):
        pages_of(store, "BARE")
