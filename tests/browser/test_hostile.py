"""Sixty texts in every field that a model or a user can fill: none of them runs, and none breaks the layout.

Here the browser is told to disregard the pages' Content-Security-Policy: escaping alone must do.
"""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from playwright.sync_api import Browser
from starlette.datastructures import MutableHeaders

from openmic.store import Annotation, Store
from openmic.viewer.app import create_app
from openmic.viewer.pages.rating import LONGEST

from ..viewer.markup import SCRIPTS, TAGS
from ..viewer.transcripts import write
from .hostile import HOSTILE
from .looking import Tab, tab

HERE = Path(__file__).parent
LAYOUT, STRANGERS = ((HERE / name).read_text(encoding="utf-8") for name in ("layout.js", "strangers.js"))
NARROW = {"width": 390, "height": 800}
EVERY_FIELD = (
    "/runs/RUN1",
    "/dialogues/d1",
    "/turns/t2",
    "/adapters/RUN1/2",
    "/runs/RUN1/rate?rater={text}",
    "/runs/RUN1/ratings",
)
"""Pages on which all fields are; every text is looked at on these. `{text}` is as much of it as a name may have."""
FURTHER = (
    "/",
    "/runs/RUN1/dialogues",
    "/runs/RUN1/compare",
    "/turns/t5",
    "/dialogues/judged-2-0",
    "/search?q={text}",
    "/runs/RUN1/dialogues?tag={text}&text={text}",
    "/runs/RUN1/export?stop_reason={text}",
)
"""Pages that show some of the fields again: each text is looked at on one of them."""
UNALTERED = ("/turns/t0/text", "/turns/t2/raw", "/examples/e1/text")


class Switch:
    """An application that hands requests on to another one, which is exchanged between texts."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return

        async def send_to_keep(message: Any) -> None:
            if message["type"] == "http.response.start":
                # Styles and scripts are the same for all texts; to ask for them each time would take most of the time.
                MutableHeaders(scope=message)["cache-control"] = "max-age=3600"
            await send(message)

        await self.app(scope, receive, send_to_keep if scope["path"].startswith("/static/") else send)


@pytest.fixture(scope="module")
def switch() -> Iterator[tuple[Switch, str]]:
    """The switch, served by this process, and where: to start the command for each text would take minutes."""
    switch = Switch()
    server = uvicorn.Server(
        uvicorn.Config(switch, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    )
    listener = server.config.bind_socket()
    thread = Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield switch, f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store without rows, as its file."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    Store.open(str(path)).close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def hostile_tab(browser: Browser, switch: tuple[Switch, str]) -> Iterator[Tab]:
    with tab(browser, switch[1], bypass_csp=True, viewport=NARROW) as found:
        yield found


@pytest.fixture
def written(request: pytest.FixtureRequest, switch: tuple[Switch, str], empty: bytes, tmp_path: Path) -> Iterator[str]:
    """The name of a text that is in every field of the store that is served."""
    name: str = request.param
    text, path = HOSTILE[name], tmp_path / "store.db"
    path.write_bytes(empty)
    with Store.open(str(path)) as store:
        write(store, lambda _: text)
        store.add(
            Annotation(
                id="rated",
                run_id="RUN1",
                dialogue_id="judged-2-0",
                verdict_id="verdict-2-0",
                name="preference",
                label="win",
                author=text,
                data={"left": "output-2-0"},
            )
        )
    switch[0].app = create_app(str(path))
    yield name
    switch[0].app.state.site.close()


@pytest.mark.parametrize("written", HOSTILE, indirect=True)
def test_a_text_is_nothing_but_text(written: str, hostile_tab: Tab) -> None:
    hostile_tab.problems.clear()
    name = quote(HOSTILE[written][:LONGEST], safe="")
    for path in (*EVERY_FIELD, FURTHER[list(HOSTILE).index(written) % len(FURTHER)]):
        where = path.format(text=name)
        page = hostile_tab.go(where)
        assert page.evaluate(STRANGERS, [sorted(TAGS), sorted(SCRIPTS)]) == [], where
        assert page.evaluate(LAYOUT) == [], where
        assert not hostile_tab.problems, where


@pytest.mark.parametrize("written", ["script", "out of a title", "refresh"], indirect=True)
def test_what_is_sent_unaltered_is_no_page(written: str, hostile_tab: Tab) -> None:
    hostile_tab.problems.clear()
    for where in UNALTERED:
        kind, ran = hostile_tab.go(where).evaluate("[document.contentType, window.__pwned]")
        assert kind in {"text/plain", "application/json"}
        assert ran is None
    assert not hostile_tab.problems


def test_the_check_itself_sees_what_runs(
    hostile_tab: Tab, switch: tuple[Switch, str], empty: bytes, tmp_path: Path
) -> None:
    (tmp_path / "store.db").write_bytes(empty)
    switch[0].app = create_app(str(tmp_path / "store.db"))
    page = hostile_tab.go("/")
    page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", HOSTILE["svg"] + HOSTILE["image"])
    page.wait_for_function("window.__pwned")
    found = page.evaluate(STRANGERS, [sorted(TAGS), sorted(SCRIPTS)])
    assert {"ran: 1", "svg onload", "img", "img onerror"} <= set(found)
    assert hostile_tab.problems
    hostile_tab.problems.clear()
    switch[0].app.state.site.close()
