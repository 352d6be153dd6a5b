"""What a run adds to its store appears on pages that are open, which are not loaded again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from openmic.core.records import Split, Stage
from openmic.store import Adapter, Dialogue, Evaluation, Run, Store, Training
from openmic.store.schema import now

from ..in_hand import in_hand
from ..store.rows import dialogue, example, run, training, turn
from ..viewer.transcripts import SUMMARY
from .looking import tab

RUN = "LIVE"
SOON_MS = 30_000


@pytest.fixture
def driver(store: Store, tmp_path: Path) -> Iterator[Store]:
    """The store, with a run that has just begun."""
    store.add(run(id=RUN, name="under way", status="running", home=str(tmp_path)))
    hold(store, 0)
    with in_hand(store, RUN):
        yield store


def hold(driver: Store, number: int) -> None:
    """Begin a dialogue, with one turn."""
    name = f"live-{number}"
    driver.add(
        example(id=name, text=f"Live input {number}"),
        dialogue(id=name, run_id=RUN, example_id=name, stage=Stage.COLLECT, started_at=now()),
        turn(0, id=f"{name}-0", run_id=RUN, dialogue_id=name, content=f"Draft {number}"),
    )


@contextmanager
def unchanged(page: Page) -> Iterator[None]:
    """The page is still the one that was loaded before."""
    page.evaluate("window.__same = true")
    yield
    assert page.evaluate("window.__same")


def test_a_run_is_followed_from_its_first_dialogue_to_its_end(browser: Browser, origin: str, driver: Store) -> None:
    with tab(browser, origin) as runs, tab(browser, origin) as one:
        listed, page = runs.go("/"), one.go(f"/runs/{RUN}")
        line = listed.locator("tr", has_text="under way")
        expect(line.locator(".badge")).to_have_text("running")
        expect(page.get_by_text("Live input 0")).to_be_visible()
        with unchanged(listed), unchanged(page):
            hold(driver, 1)
            expect(page.get_by_text("Live input 1")).to_be_visible(timeout=SOON_MS)

            driver.add(
                training(id="live-x", run_id=RUN, adapter_version=1, status="running"),
                Evaluation(id="live-e", run_id=RUN, adapter_version=1, split=Split.TEST, status="running"),
            )
            expect(page.get_by_text("training v1")).to_be_visible(timeout=SOON_MS)
            expect(page.get_by_text("judging v1")).to_be_visible(timeout=SOON_MS)
            driver.update(Evaluation, "live-e", status="finished", summary=SUMMARY)
            driver.update(Training, "live-x", status="finished", finished_at=now())
            driver.add(
                Adapter(
                    id="live-a",
                    run_id=RUN,
                    version=1,
                    stage="imitation",
                    round=0,
                    base_model="tiny",
                    uri="there",
                    training_id="live-x",
                    status="promoted",
                ),
            )
            expect(page.locator("svg.chart")).to_be_visible(timeout=SOON_MS)
            expect(line).to_contain_text("66.0%", timeout=SOON_MS)

            for number in range(2):
                driver.update(Dialogue, f"live-{number}", status="finished", finished_at=now())
            driver.update(Run, RUN, status="finished", finished_at=now())
            expect(page.locator("#live .badge").first).to_have_text("finished", timeout=SOON_MS)
            expect(page.get_by_role("heading", name="Now")).to_be_hidden(timeout=SOON_MS)
            expect(line.locator(".badge")).to_have_text("finished", timeout=SOON_MS)


def test_what_one_unfolds_stays_while_nothing_happens(
    browser: Browser, origin: str, store: Store, tmp_path: Path
) -> None:
    store.add(run(id="STILL", name="waiting", status="running", home=str(tmp_path)))
    with in_hand(store, "STILL"), tab(browser, origin) as found:
        page = found.go("/runs/STILL")
        with page.expect_response(lambda answer: answer.status == 204, timeout=SOON_MS):
            pass  # what was still being counted is there now
        page.evaluate("document.querySelector('#live').__mark = true")
        with page.expect_response(lambda answer: answer.status == 204, timeout=SOON_MS):
            pass
        assert page.evaluate("document.querySelector('#live').__mark")
    store.update(Run, "STILL", status="finished", finished_at=now())
