"""Every page over what a real run left: it is there, it is for everybody, and it asks nobody but the viewer.

The whole run is the one that other tests of a session look at; its store is copied, as rating writes to it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ViewportSize, expect

from openmic.store import Dialogue, Run, Store, Turn
from openmic.store.admin.backup import back_up

from ..whole_run import finished_run
from .looking import Tab, origin_of, press, tab, viewing

HERE = Path(__file__).parent
LAYOUT = (HERE / "layout.js").read_text(encoding="utf-8")
RULES = {"resultTypes": ["violations"]}
SEVERE = {"serious", "critical"}
NARROW: ViewportSize = {"width": 390, "height": 800}
WIDE: ViewportSize = {"width": 1280, "height": 800}
PAGES = {
    "runs": "/",
    "help": "/help",
    "run": "/runs/{run}",
    "dialogues": "/runs/{run}/dialogues",
    "filtered": "/runs/{run}/dialogues?stage=collect&order=-turns",
    "none": "/runs/{run}/dialogues?tag=nobody",
    "dialogue": "/dialogues/{dialogue}",
    "judged": "/dialogues/{judged}",
    "compare": "/runs/{run}/compare",
    "search": "/search?q={word}",
    "nothing found": "/search?q=qqqqqq",
    "turn": "/turns/{turn}",
    "adapter": "/adapters/{run}/1",
    "export": "/runs/{run}/export",
    "rate": "/runs/{run}/rate",
    "rating": "/runs/{run}/rate?rater=Bo",
    "ratings": "/runs/{run}/ratings",
}


@pytest.fixture(scope="module")
def left(tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A copy of the store that the run left."""
    path = tmp_path_factory.mktemp("left") / "store.db"
    back_up(finished_run(tiny_causal).store, path)
    with Store.open(str(path)) as store:
        yield store


@pytest.fixture(scope="module")
def where(left: Store) -> Iterator[str]:
    with viewing(left.address) as address:
        yield origin_of(address)


@pytest.fixture(scope="module")
def paths(left: Store) -> dict[str, str]:
    """Every page's address in this run."""
    [run] = left.select(Run)
    [turn, *_] = left.select(Turn, kind="revision")
    [judged, *_] = left.select(Dialogue, stage="evaluate")
    word = next(word for word in left.conversation(turn.dialogue_id).example.text.split() if word.isalpha())
    names = {"run": run.id, "dialogue": turn.dialogue_id, "judged": judged.id, "turn": turn.id, "word": word}
    return {name: path.format(**names) for name, path in PAGES.items()}


@pytest.fixture(scope="module")
def rated(browser: Browser, where: str, paths: dict[str, str]) -> None:
    """Two people have rated, so that there are results to look at."""
    for rater, key in (("Ann", "l"), ("Cy", "t")):
        with tab(browser, where) as found:
            page = found.go(f"{paths['rate']}?rater={rater}")
            for number in (1, 2):
                press(page, key)
                expect(page.locator("main [role=status]")).to_contain_text(f"{number} of")


@pytest.fixture(scope="module")
def looking(browser: Browser, where: str, rated: None) -> Iterator[Tab]:
    """One tab for all pages."""
    with tab(browser, where, viewport=WIDE) as found:
        yield found


def severe(tab_: Tab) -> list[str]:
    """What is seriously wrong for somebody who cannot see, or not well."""
    found = Axe().run(tab_.page, options=RULES).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found if one["impact"] in SEVERE for node in one["nodes"]]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody_wide_and_narrow_light_and_dark(name: str, looking: Tab, paths: dict[str, str]) -> None:
    looking.problems.clear()
    page = looking.page
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)
    looking.go(paths[name])
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    assert page.evaluate(LAYOUT) == []
    assert severe(looking) == []
    # What is folded away is for everybody too.
    page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(NARROW)
    assert page.evaluate(LAYOUT) == []
    assert severe(looking) == []
    # axe itself would be refused by the pages' policy had it asked for anything.
    assert not looking.problems


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_the_same_without_scripts(
    name: str, browser: Browser, where: str, paths: dict[str, str], looking: Tab
) -> None:
    looking.page.set_viewport_size(WIDE)
    with_scripts = looking.go(paths[name]).locator("main").inner_text()
    with tab(browser, where, viewport=WIDE, java_script_enabled=False) as plain:
        assert plain.go(paths[name]).locator("main").inner_text() == with_scripts


def test_one_gets_from_the_runs_to_a_lineage_by_links_alone(
    browser: Browser, where: str, paths: dict[str, str]
) -> None:
    with tab(browser, where, java_script_enabled=False) as found:
        page = found.go("/")
        page.get_by_role("link", name="tiny").click()
        found.reached(paths["run"] + "$")
        page.get_by_role("link", name="Dialogues", exact=True).click()
        page.get_by_label("stage").first.select_option("collect")
        page.get_by_role("button", name="Show").click()
        found.reached(r".*/dialogues\?stage=collect$")
        page.locator("a[data-row]").first.click()
        found.reached(r"/dialogues/.*\?stage=collect")
        page.get_by_role("link", name="Next").click()
        page.get_by_role("link", name="Previous").click()
        page.get_by_role("link", name="lineage").first.click()
        found.reached("/turns/")
        expect(page.get_by_role("heading", name="Where it comes from")).to_be_visible()
        page.get_by_label("Search what was said").fill("the")
        page.get_by_label("Search what was said").press("Enter")
        found.reached("/search")


def test_a_tag_is_put_on_and_found_and_taken_off(browser: Browser, where: str, paths: dict[str, str]) -> None:
    with tab(browser, where) as found:
        page = found.go(paths["dialogue"])
        for button, count in (("Add", 1), ("Remove", 0)):
            page.get_by_label("tag", exact=True).fill("worth a look")
            page.get_by_label("your name").fill("Ann")
            page.get_by_role("button", name=button).click()
            expect(page.locator(".tag", has_text="worth a look")).to_have_count(count)
            found.go(f"{paths['run']}/dialogues?tag=worth+a+look")
            expect(page.locator("a[data-row]")).to_have_count(count)
            found.go(paths["dialogue"])


def test_what_a_filter_finds_is_taken_away_as_a_file(browser: Browser, where: str, paths: dict[str, str]) -> None:
    with tab(browser, where) as found:
        page = found.go(paths["filtered"])
        page.get_by_role("link", name="Export these").click()
        found.reached(r".*/export\?stage=collect$")
        with page.expect_download() as loading:
            page.get_by_role("button", name="Download").click()
        assert loading.value.suggested_filename.endswith("-preference.zip")
        assert loading.value.path().stat().st_size > 0
        # The one download that was asked for.
        found.problems.pop()


def test_an_address_that_leads_nowhere_is_for_everybody_too(browser: Browser, where: str) -> None:
    with tab(browser, where, viewport=NARROW) as found:
        answer = found.page.goto(f"{where}/runs/nothing")
        assert answer is not None
        assert answer.status == 404
        assert severe(found) == []
        assert found.page.evaluate(LAYOUT) == []
        # The browser itself says so.
        [said] = found.problems
        assert "404" in said
        found.problems.clear()


def test_the_checks_themselves_see_what_is_wrong(opened: Tab) -> None:
    page = opened.go("/")
    page.set_viewport_size(NARROW)
    page.evaluate(
        """() => {
            const wide = document.createElement("p");
            wide.textContent = "wide";
            wide.style.width = "900px";
            const nameless = document.createElement("button");
            document.querySelector("main").append(wide, nameless);
        }"""
    )
    assert any(said.startswith("button-name") for said in severe(opened))
    assert any(said.startswith("the page is") for said in page.evaluate(LAYOUT))
