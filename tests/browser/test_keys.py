"""Each key does what the page of keys says, and everything can be reached without a mouse."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from .looking import Tab, press

LIST = "/runs/RUN1/dialogues?stage=collect"
FOCUSED = "document.activeElement.getAttribute('href')"
REACHABLE = """() => [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']"
)].filter((element) => element.checkVisibility()).length"""
NEXT_FOCUS = """() => {
    const element = document.activeElement;
    if (element === document.body || window.__reached?.has(element)) return null;
    (window.__reached ??= new Set()).add(element);
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    return { name: element.outerHTML.slice(0, 80), seen: outlineStyle !== "none" && outlineWidth !== "0px" };
}"""


def rows(page: Page) -> list[str]:
    return [str(row.get_attribute("href")) for row in page.locator("a[data-row]").all()]


def test_j_and_k_go_through_the_rows_and_enter_opens_one(opened: Tab) -> None:
    page = opened.go(LIST)
    listed = rows(page)
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1)):
        press(page, key)
        assert page.evaluate(FOCUSED) == listed[place]
    press(page, "Enter")
    opened.reached("/dialogues/")
    assert opened.path == listed[1]


def test_j_and_k_go_from_dialogue_to_dialogue_within_the_filter(opened: Tab) -> None:
    listed = rows(opened.go(LIST))
    page = opened.go(listed[0])
    for key, place in (("j", 1), ("j", 2), ("k", 1), ("n", 2), ("p", 1)):
        press(page, key)
        opened.reached(listed[place].replace("?", r"\?"))
    assert "stage=collect" in opened.path


def test_n_and_p_turn_the_pages_of_a_list(opened: Tab) -> None:
    page = opened.go(LIST)
    first = rows(page)
    press(page, "n")
    opened.reached(r".*after=")
    assert not set(rows(page)) & set(first)
    press(page, "p")
    opened.reached(r"/runs/RUN1/dialogues\?stage=collect$")
    assert rows(page) == first


def test_j_and_k_go_from_input_to_input_where_two_adapters_stand_side_by_side(opened: Tab) -> None:
    page = opened.go("/runs/RUN1/compare?a=0&b=2")
    expect(page.get_by_text("input 1 of 3")).to_be_visible()
    press(page, "j")
    expect(page.get_by_text("input 2 of 3")).to_be_visible()
    press(page, "k")
    expect(page.get_by_text("input 1 of 3")).to_be_visible()


def test_slash_searches_and_escape_lets_go(opened: Tab) -> None:
    page = opened.go("/runs/RUN1")
    press(page, "/")
    field = page.get_by_role("searchbox")
    expect(field).to_be_focused()
    page.keyboard.type("j/?k")
    expect(field).to_have_value("j/?k")
    expect(page.locator("#help")).to_be_hidden()
    press(page, "Escape")
    expect(field).not_to_be_focused()
    press(page, "/")
    field.fill("draft")
    press(page, "Enter")
    opened.reached(r"/search\?run=RUN1&q=draft")
    expect(page.locator("mark").first).to_have_text("draft")
    press(page, "j")
    press(page, "Enter")
    opened.reached("/dialogues/")


def test_a_question_mark_tells_the_keys_and_escape_closes_them(opened: Tab) -> None:
    page = opened.go(LIST)
    shown = page.locator("#help")
    ways: list[Callable[[], None]] = [
        lambda: press(page, "Escape"),
        lambda: page.get_by_role("button", name="Close").click(),
    ]
    for close in ways:
        press(page, "?")
        expect(shown).to_be_visible()
        press(page, "j")
        assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
        close()
        expect(shown).to_be_hidden()
    page.get_by_role("link", name="Keys").click()
    expect(shown).to_be_visible()


def test_keys_with_a_modifier_are_the_browsers_own(opened: Tab) -> None:
    page = opened.go(LIST)
    for modifier in ("Control", "Alt", "Meta"):
        press(page, f"{modifier}+j")
        assert page.evaluate("document.activeElement === document.body")


@pytest.mark.parametrize(
    "path", ["/", "/runs/RUN1", LIST, "/dialogues/d1", "/runs/RUN1/export", "/runs/RUN1/rate?rater=Tabitha"]
)
def test_tab_reaches_everything_and_the_focus_is_seen(opened: Tab, path: str) -> None:
    page = opened.go(path)
    reached = []
    while True:
        press(page, "Tab")
        focused = page.evaluate(NEXT_FOCUS)
        if focused is None:
            break
        reached.append(focused)
    # Of the buttons of a radio group the arrows reach the others.
    radios = page.locator("input[type=radio]").count()
    groups = page.evaluate("new Set([...document.querySelectorAll('input[type=radio]')].map((one) => one.name)).size")
    assert len(reached) == page.evaluate(REACHABLE) - radios + groups
    assert not [focused["name"] for focused in reached if not focused["seen"]]
    assert "Skip to the content" in reached[0]["name"]
