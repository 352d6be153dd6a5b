"""Blind rating by keys alone, and what is shown of it."""

import pytest
from playwright.sync_api import Browser, Page, expect

from openmic.store import Annotation, Store, Turn, VerdictRow

from .looking import Tab, press, tab


def begin(opened: Tab, rater: str) -> Page:
    """Fill in who rates, by keys, and get to the first pair."""
    page = opened.go("/runs/RUN1/rate")
    page.get_by_label("your name").focus()
    page.keyboard.type(rater)
    press(page, "Enter")
    rated(page, 0)
    return page


def rated(page: Page, number: int) -> None:
    """So many are, and the page is ready for the next key."""
    expect(page.locator("main [role=status]")).to_have_text(f"{number} of 6 rated")
    page.wait_for_load_state()


def test_one_key_rates_a_pair_and_shows_the_next(opened: Tab, store: Store) -> None:
    page = begin(opened, "Kay")
    shown: list[tuple[str, str, str]] = []
    keys = {"ArrowLeft": "left", "a": "left", "ArrowRight": "right", "l": "right", "t": "tie", "s": "skip"}
    for number, key in enumerate(keys, 1):
        left, right = page.locator(".sides .said").all_text_contents()
        shown.append((str(page.locator("[name=pair]").get_attribute("value")), left, right))
        press(page, key)
        rated(page, number)
    expect(page.get_by_role("heading", name="All rated")).to_be_visible()
    kept = {row.verdict_id: row for row in store.select(Annotation, name="preference", author="Kay")}
    assert len(kept) == 6
    for (pair, left, right), choice in zip(shown, keys.values(), strict=True):
        verdict = store.get(VerdictRow, pair)
        assert verdict is not None
        first = store.get(Turn, verdict.first_turn_id)
        assert first is not None
        assert first.content in {left, right}
        won = {"left": first.content == left, "right": first.content == right}
        wanted = choice if choice in {"tie", "skip"} else "win" if won[choice] else "loss"
        assert kept[pair].label == wanted


def test_u_takes_one_back_to_rate_it_anew(opened: Tab, store: Store) -> None:
    page = begin(opened, "Una")
    press(page, "t")
    rated(page, 1)
    press(page, "u")
    expect(page.get_by_text("You rated this pair already: a tie")).to_be_visible()
    rated(page, 1)
    press(page, "s")
    expect(page.get_by_text("You rated this pair already")).to_be_hidden()
    rated(page, 1)
    [correction] = store.select(Annotation, name="correction", author="Una")
    assert correction.label == "skip"


def test_a_key_that_is_held_down_rates_once(opened: Tab, store: Store) -> None:
    page = begin(opened, "Hal")
    page.keyboard.down("t")
    rated(page, 1)
    # The key is still down: to the next page it is a repetition.
    page.keyboard.down("t")
    page.keyboard.up("t")
    press(page, "s")
    rated(page, 2)
    assert [row.label for row in store.select(Annotation, author="Hal", order_by="created_at")] == ["tie", "skip"]


def test_keys_rate_nothing_while_one_types_or_reads_help(opened: Tab, store: Store) -> None:
    page = begin(opened, "Tia")
    press(page, "/")
    page.keyboard.type("tals")
    press(page, "Escape")
    press(page, "?")
    for key in "tals":
        press(page, key)
    expect(page.locator("#help")).to_be_visible()
    rated(page, 0)
    assert not store.select(Annotation, author="Tia")


@pytest.mark.parametrize("javascript", [True, False])
def test_it_is_rated_by_buttons_too(browser: Browser, origin: str, store: Store, javascript: bool) -> None:
    name = f"Bo {javascript}"
    with tab(browser, origin, java_script_enabled=javascript) as opened:
        page = opened.go("/runs/RUN1/rate")
        page.get_by_label("your name").fill(name)
        page.get_by_role("button", name="Begin").click()
        page.get_by_role("button", name="Left is better").click()
        rated(page, 1)
        page.get_by_role("link", name="Back to the last one").click()
        page.get_by_role("button", name="A tie").click()
        rated(page, 1)
    assert [row.name for row in store.select(Annotation, author=name, order_by="created_at")] == [
        "preference",
        "correction",
    ]


def test_results_come_in_while_somebody_rates(browser: Browser, origin: str, opened: Tab) -> None:
    press(begin(opened, "Lia"), "a")
    rated(opened.page, 1)
    with tab(browser, origin) as watching:
        page = watching.go("/runs/RUN1/ratings")
        expect(page.locator("#live li", has_text="Lia")).to_have_text("Lia 1")
        page.evaluate("window.__same = true")
        press(opened.page, "l")
        rated(opened.page, 2)
        expect(page.locator("#live li", has_text="Lia")).to_have_text("Lia 2", timeout=30_000)
        assert page.evaluate("window.__same")
        expect(page.get_by_role("heading", name="Agreement")).to_be_visible()
