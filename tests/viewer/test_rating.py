"""Blind rating over HTTP: what the page shows and does not, and what a press comes to."""

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from openmic.store import Annotation, Store, Turn, VerdictRow

from .markup import read
from .test_hostile import HOSTILE

RATE = "/runs/RUN1/rate?rater=Ann"


def field(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found is not None, text
    return unescape(found[1])


def press(pages: TestClient, choice: str, where: str = RATE) -> str:
    """Choose on the page that is shown, and give the one that follows."""
    shown = pages.get(where).text
    form = {name: field(shown, name) for name in ("pair", "shown", *(["again"] if 'name="again"' in shown else []))}
    answer = pages.post(where, data={**form, "choice": choice})
    assert answer.status_code == 303
    return pages.get(answer.headers["location"]).text


def status(text: str) -> str:
    found = re.search(r'role="status">([^<]*)<', text)
    assert found is not None, text
    return found[1]


def undo(text: str) -> str:
    found = re.search(r'href="([^"]*)" data-rate="undo"', text)
    assert found is not None, text
    return unescape(found[1])


def test_without_a_name_the_page_asks_who_rates_what(pages: TestClient) -> None:
    page = pages.get("/runs/RUN1/rate")
    assert page.status_code == 200
    for name in ("rater", "what", "versions", "number"):
        assert f'name="{name}"' in page.text
    assert "v0 (no adapter)" in page.text


def test_the_page_tells_nothing_but_the_texts(pages: TestClient, store: Store) -> None:
    text = pages.get(RATE).text
    verdict = store.get(VerdictRow, field(text, "pair"))
    assert verdict is not None
    first, second = store.get(Turn, verdict.first_turn_id), store.get(Turn, verdict.second_turn_id)
    assert first is not None
    assert second is not None
    body = text.partition('<form method="post"')[2].partition("</form>")[0]
    body = body.replace(verdict.id, "").replace(first.content, "").replace(second.content, "")
    for telling in ("output", "reference", "adapter", "teacher", "student", "turn", "tiny", "v0", "v2", "win", "judge"):
        assert telling not in body
    links = " ".join(read(text).links)
    assert not any(place in links for place in ("/turns", "/dialogues", "/adapters", "/compare"))
    # Both sides are made alike: only what they are called by differs.
    sides = re.findall(r'<section class="card".*?</section>', body, re.DOTALL)
    alike = [re.sub(r"left|right|←|→", "", side, flags=re.IGNORECASE).split() for side in sides]
    assert len(alike) == 2
    assert alike[0] == alike[1]


def test_pairs_are_rated_one_after_the_other_until_there_are_none(pages: TestClient, store: Store) -> None:
    choices = ["left", "right", "tie", "skip", "left", "right"]
    assert status(pages.get(RATE).text) == "0 of 6 rated"
    for number, choice in enumerate(choices, 1):
        text = press(pages, choice)
        assert status(text) == f"{number} of 6 rated"
    assert "All rated" in text
    kept = store.select(Annotation, name="preference", author="Ann")
    assert len({row.verdict_id for row in kept}) == 6
    assert all(row.data["seconds"] >= 0 for row in kept)


def test_all_raters_get_the_same_pairs_in_the_same_order(pages: TestClient) -> None:
    orders = []
    for rater in ("Ann", "Bo"):
        where, order = f"/runs/RUN1/rate?rater={rater}", []
        while 'name="pair"' in (text := pages.get(where).text):
            order.append(field(text, "pair"))
            press(pages, "tie", where)
        orders.append(order)
    assert orders[0] == orders[1]
    assert len(orders[0]) == 6


def test_what_is_sent_twice_counts_once(pages: TestClient, store: Store) -> None:
    shown = pages.get(RATE).text
    form = {"pair": field(shown, "pair"), "choice": "left", "shown": "no number"}
    for choice in ("left", "left", "right"):
        assert pages.post(RATE, data={**form, "choice": choice}).status_code == 303
    [kept] = store.select(Annotation, name="preference")
    assert kept.data["seconds"] is None
    assert status(pages.get(RATE).text) == "1 of 6 rated"


def test_the_last_pair_can_be_rated_anew_and_the_one_before_it(pages: TestClient, store: Store) -> None:
    press(pages, "left")
    text = press(pages, "right")
    back = undo(text)
    again = pages.get(back).text
    assert "right is better. What you say now" in again
    further = pages.get(undo(again)).text
    assert "left is better. What you say now" in further
    assert 'data-rate="undo"' not in further
    text = press(pages, "tie", back)
    assert status(text) == "2 of 6 rated"
    [correction] = store.select(Annotation, name="correction")
    assert correction.label == "tie"
    # A page that is out of date, and the same choice again, change nothing.
    assert pages.post(back, data={"pair": field(again, "pair"), "choice": "left", "again": field(again, "again")})
    press(pages, "tie", back)
    assert store.count(Annotation, name="correction") == 1
    assert store.count(Annotation, name="preference") == 2


def test_an_address_keeps_what_is_rated(pages: TestClient) -> None:
    where = "/runs/RUN1/rate?rater=Ann&versions=2&number=2"
    assert status(pages.get(where).text) == "0 of 2 rated"
    shown = pages.get(where).text
    assert field(shown, "pair").startswith("verdict-2-")
    answer = pages.post(where, data={"pair": field(shown, "pair"), "choice": "skip"})
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked == {"rater": ["Ann"], "what": ["test"], "versions": ["2"], "number": ["2"]}
    dialogues = pages.get("/runs/RUN1/rate?rater=Ann&what=dialogues").text
    assert field(dialogues, "pair") == "v1"
    assert "Nothing to rate" in pages.get("/runs/RUN1/rate?rater=Ann&versions=7").text


@pytest.mark.parametrize(
    ("where", "form"),
    [
        (RATE, {"pair": "verdict-2-0", "choice": "both"}),
        (RATE, {"pair": "nothing", "choice": "left"}),
        ("/runs/RUN1/rate", {"pair": "verdict-2-0", "choice": "left"}),
        (f"/runs/RUN1/rate?rater={'n' * 61}", {"pair": "verdict-2-0", "choice": "left"}),
        (f"{RATE}&number=0", {"pair": "verdict-2-0", "choice": "left"}),
        (f"{RATE}&versions=99999999999999999999", {"pair": "verdict-2-0", "choice": "left"}),
        (f"{RATE}&what=all", {"pair": "verdict-2-0", "choice": "left"}),
    ],
)
def test_what_cannot_be_meant_is_refused(pages: TestClient, store: Store, where: str, form: dict[str, str]) -> None:
    assert pages.post(where, data=form).status_code in {400, 404}
    assert store.count(Annotation, name="preference") == 0


def test_another_sites_form_rates_nothing(pages: TestClient, store: Store) -> None:
    form = {"pair": "verdict-2-0", "choice": "left"}
    assert pages.post(RATE, data=form, headers={"Origin": "http://evil.example"}).status_code == 403
    assert store.count(Annotation, name="preference") == 0


@pytest.mark.parametrize("what", ["test", "dialogues"])
def test_results_are_of_what_was_rated(pages: TestClient, what: str) -> None:
    results = f"/runs/RUN1/ratings?what={what}"
    assert "Nobody has rated" in pages.get(results).text
    for rater in ("Ann", "Bo"):
        press(pages, "left", f"/runs/RUN1/rate?rater={rater}&what={what}")
    text = pages.get(results).text
    assert "2 ratings of 1 pair<" in text
    assert "Only 1 pair was rated" in text
    assert ("win-tie rate" in text) is (what == "test")
    assert read(text).headings == 1
    other = "dialogues" if what == "test" else "test"
    assert "Nobody has rated" in pages.get(f"/runs/RUN1/ratings?what={other}").text


def test_results_are_sent_again_when_somebody_rates(pages: TestClient) -> None:
    press(pages, "left")
    [poll] = read(pages.get("/runs/RUN1/ratings").text).polls
    assert pages.get(poll).status_code == 204
    press(pages, "left")
    answer = pages.get(poll)
    assert answer.status_code == 200
    assert "2 ratings" in answer.text


def test_a_dialogues_page_names_no_winner_to_who_may_still_rate(pages: TestClient) -> None:
    where = "/runs/RUN1/rate?rater=Ann&what=dialogues"
    text = press(pages, "left", where)
    press(pages, "right", undo(text))
    assert "Ann" not in pages.get("/dialogues/d1").text.partition("Tags and remarks")[2].replace("tag", "")


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_raters_name_does_nothing(pages: TestClient, kind: str) -> None:
    name = HOSTILE[kind][:60]
    first = pages.get("/runs/RUN1/rate", params={"rater": name})
    assert first.status_code == 200
    form = {"pair": field(first.text, "pair"), "choice": "left"}
    answer = pages.post("/runs/RUN1/rate", params={"rater": name}, data=form)
    for page in (first, pages.get(answer.headers["location"]), pages.get("/runs/RUN1/ratings")):
        assert page.status_code == 200
        assert not read(page.text).strange
