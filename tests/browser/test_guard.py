"""Who may look, and from where, as a browser has it."""

import json
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from openmic.store import Annotation, Store

from .looking import Tab, origin_of, tab, viewing


def test_a_name_that_somebody_pointed_here_shows_nothing(browser: Browser, origin: str) -> None:
    context = browser.new_context()
    answer = context.request.get(f"{origin}/runs/RUN1", headers={"Host": "evil.example"})
    assert answer.status == 400
    assert "RUN1" not in answer.text()
    context.close()


def test_a_page_from_elsewhere_can_change_nothing_and_read_nothing(opened: Tab, browser: Browser, store: Store) -> None:
    here = f"{opened.origin}/dialogues/d1/tags"
    fields = "<input name=tag value=x><input name=author value=x><button>Go</button>"
    form = f"<form method=post action={here}>{fields}</form>"
    context = browser.new_context()
    context.route("http://evil.example/**", lambda route: route.fulfill(content_type="text/html", body=form))
    page = context.new_page()
    page.goto("http://evil.example/")
    read = page.evaluate(f"fetch({json.dumps(opened.origin)}).then(() => 'read', () => 'refused')")
    assert read == "refused"
    with page.expect_response(here) as answered:
        page.get_by_role("button").click()
    assert answered.value.status == 403
    context.close()
    assert not store.select(Annotation, author="x")


def test_a_page_is_not_shown_inside_another(opened: Tab, browser: Browser) -> None:
    context = browser.new_context()
    body = f"<iframe src={opened.origin}/></iframe>"
    context.route("http://evil.example/**", lambda route: route.fulfill(content_type="text/html", body=body))
    page = context.new_page()
    page.goto("http://evil.example/")
    [frame] = page.main_frame.child_frames
    assert frame.url == "chrome-error://chromewebdata/"
    context.close()


def test_elsewhere_a_token_is_needed_once(browser: Browser, store: Store) -> None:
    with viewing(store.address, "RUN1", "--host", "0.0.0.0") as address:
        origin, parts = origin_of(address), urlsplit(address)
        assert parts.query.startswith("token=")
        context = browser.new_context()
        page = context.new_page()
        answer = page.goto(origin + parts.path)
        assert answer is not None
        assert answer.status == 403
        assert "RUN1" not in page.content()
        context.close()
        with tab(browser, origin) as found:
            page = found.go(f"{parts.path}?{parts.query}")
            assert "token" not in page.url
            page.get_by_role("link", name="Dialogues", exact=True).click()
            expect(page.get_by_role("heading", name="Dialogues")).to_be_visible()
            assert "token" not in page.content()
