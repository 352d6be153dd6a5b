import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cache
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from openmic.store import Adapter, Annotation, Dialogue, Evaluation, Run, Store
from openmic.store.tags import tags_of
from openmic.viewer.texts import LONG

from ..in_hand import in_hand
from ..store.rows import turn
from .markup import read
from .transcripts import STARTED, held

PAGES = [
    "/",
    "/help",
    "/search",
    "/search?q=draft",
    "/search?q=draft&run=RUN1",
    "/runs/RUN1",
    "/runs/latest",
    "/runs/RUN1/dialogues",
    "/runs/RUN1/dialogues?stage=evaluate&order=-turns",
    "/runs/RUN1/dialogues?tag=nobody",
    "/runs/RUN1/compare",
    "/runs/RUN1/compare?a=0&b=2&differing=true",
    "/runs/RUN1/compare?split=dev",
    "/runs/RUN1/export",
    "/runs/RUN1/export?round=1",
    "/dialogues/d1",
    "/dialogues/d1?round=1&order=-started",
    "/dialogues/judged-2-0",
    *(f"/turns/t{number}" for number in range(6)),
    "/turns/output-2-0",
    "/turns/reference-2-0",
    *(f"/adapters/RUN1/{version}" for version in (0, 1, 2)),
    "/adapters/RUN1/2?page=1",
    "/compare",
    "/compare?run=RUN1",
    "/runs/RUN1/samples",
    "/runs/RUN1/samples?version=0&outcome=win&sort=-length",
    "/runs/RUN1/samples?split=dev",
]


@pytest.fixture(scope="module")
def leads(unchanged: TestClient) -> Callable[[str], bool]:
    """Whether an address leads somewhere; each is followed once."""
    return cache(lambda address: unchanged.get(address).status_code == 200)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_a_title_a_heading_and_links_that_lead_somewhere(
    unchanged: TestClient, leads: Callable[[str], bool], path: str
) -> None:
    answer = unchanged.get(path)
    assert answer.status_code == 200
    page = read(answer.text)
    assert page.titles == 1
    assert page.headings == 1
    for link in page.links:
        if "/rat" not in link and "/export/download" not in link:
            assert leads(link.partition("#")[0] or path), link
    anchors = [link.partition("#")[2] for link in page.links if link.startswith("#")]
    assert set(anchors) <= page.ids


@pytest.mark.parametrize("path", ["/runs/zzz", "/dialogues/zzz", "/turns/zzz", "/turns/zzz/text", "/examples/zzz/text"])
def test_what_is_not_there_is_said(unchanged: TestClient, path: str) -> None:
    answer = unchanged.get(path)
    assert answer.status_code == 404
    assert "zzz" in answer.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/runs/RUN1/dialogues?round=two", "round='two' is no number"),
        ("/dialogues/d1?verdict=won", "verdict='won' is none of"),
        ("/runs/RUN1/compare?a=1", "adapter v1 of run RUN1 was not judged"),
        ("/runs/RUN1/compare?a=x", "a: "),
        ("/adapters/RUN1/x", "version: "),
        ("/runs/RUN1/export/download?form=poem", "form: "),
    ],
)
def test_what_cannot_be_meant_is_said(unchanged: TestClient, path: str, said: str) -> None:
    answer = unchanged.get(path)
    assert answer.status_code == 400
    assert said in unescape(answer.text)


def test_the_pages_of_a_list_hold_every_dialogue_once_and_name_the_filter(pages: TestClient, store: Store) -> None:
    store.add(*held(*range(1, 121)))
    path, met = "/runs/RUN1/dialogues?stage=collect&order=-started", []
    while path:
        page = read(pages.get(path).text)
        assert all("stage=collect" in link for link in page.rows)
        met += [link.partition("?")[0] for link in page.rows]
        path = page.relations.get("next", "")
    assert len(met) == len(set(met)) == 121
    assert met[-1] == "/dialogues/d1"


def test_a_page_is_shown_where_its_address_ends_in_a_slash(unchanged: TestClient) -> None:
    assert unchanged.get("/runs/RUN1/").status_code == 200
    for address in ("/dialogues/d1", "/help"):
        assert unchanged.get(f"{address}/").text == unchanged.get(address).text


def test_an_address_with_empty_fields_is_brought_to_what_can_be_shared(unchanged: TestClient) -> None:
    answer = unchanged.get("/runs/RUN1/dialogues?stage=&round=1&text=&order=")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs/RUN1/dialogues?round=1"


def test_dialogues_that_hold_a_common_word_are_not_all_counted(
    pages: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(*held(*range(1, 5)))
    monkeypatch.setattr("openmic.viewer.pages.dialogues.COUNTED", 3)
    text = pages.get("/runs/RUN1/dialogues?text=input").text
    assert "over 3 dialogues" in text
    monkeypatch.undo()
    assert " dialogues</span>" in pages.get("/runs/RUN1/dialogues?text=input&stage=collect").text


def test_next_and_previous_keep_to_the_filter(pages: TestClient, store: Store) -> None:
    store.add(*held(1, 3, round=1), *held(2, 4, round=0))
    relations = read(pages.get("/dialogues/more-003?round=1").text).relations
    assert relations["prev"] == "/dialogues/more-001?round=1"
    assert "next" not in relations
    assert read(pages.get("/dialogues/more-003").text).relations["next"] == "/dialogues/more-004"


def test_a_dialogue_shows_the_critique_beside_its_text_both_orders_and_what_changed(unchanged: TestClient) -> None:
    text = unchanged.get("/dialogues/d1").text
    assert "<ins> revised</ins>" in text
    beside = text[text.index('class="beside"') :]
    assert beside.index("draft") < beside.index("works") < beside.index("suggestion")
    assert text.count('<rect width="80.0"') == text.count('<rect width="60.0"') == 1
    assert "request" in text[text.index("Request and reply") :]
    assert "#1 is better" in text
    assert "prompt version <bdi>3</bdi>" in unchanged.get("/turns/t0").text


def test_a_very_long_text_is_cut_and_the_whole_is_a_page_of_its_own(pages: TestClient, store: Store) -> None:
    content = "so long " * LONG
    store.add(turn(6, content=content))
    page = pages.get("/dialogues/d1").text
    assert len(page) < 6 * LONG
    assert "/turns/t6/text" in page
    whole = pages.get("/turns/t6/text")
    assert whole.text == content
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"


def test_what_a_turn_is_made_of_is_there_as_json(unchanged: TestClient) -> None:
    found = unchanged.get("/turns/t2/raw").json()
    assert found["call"]["reply"]["raw"] == {"it": "raw"}
    assert found["prompt"] == [{"role": "user", "content": "request"}]
    assert unchanged.get("/turns/t0/raw").json()["call"] is None


def test_two_adapters_side_by_side_walk_through_the_inputs_on_which_they_differ(unchanged: TestClient) -> None:
    page = read(unchanged.get("/runs/RUN1/compare?a=0&b=2&differing=true").text)
    assert "prev" not in page.relations
    following = page.relations["next"]
    assert "example=test1" in following
    second = unchanged.get(following).text
    assert "output0-1" in second
    assert "output2-1" in second
    assert read(second).relations.keys() == {"prev"}


def test_a_tag_is_put_on_once_found_by_and_taken_off(pages: TestClient, store: Store) -> None:
    fields = {"tag": " very  good ", "author": "Ann"}
    for _ in range(2):
        answer = pages.post("/dialogues/d1/tags?round=1", data=fields)
        assert answer.headers["location"] == "/dialogues/d1?round=1"
    assert tags_of(store, ["d1"]) == {"d1": ["tag", "very good"]}
    assert len(store.select(Annotation, label="very good")) == 1
    assert read(pages.get("/runs/RUN1/dialogues?tag=very+good").text).rows == ["/dialogues/d1?tag=very+good"]
    pages.post("/dialogues/d1/tags", data={**fields, "remove": "true"})
    assert tags_of(store, ["d1"]) == {"d1": ["tag"]}


@pytest.mark.parametrize("fields", [{}, {"tag": "x"}, {"tag": " ", "author": "A"}, {"tag": "x" * 61, "author": "A"}])
def test_a_tag_without_a_name_or_too_long_is_refused(unchanged: TestClient, fields: dict[str, str]) -> None:
    assert unchanged.post("/dialogues/d1/tags", data=fields).status_code == 400


def test_what_is_no_form_or_too_long_is_refused(unchanged: TestClient) -> None:
    assert unchanged.post("/dialogues/d1/tags", json={"tag": "x", "author": "A"}).status_code == 400
    assert unchanged.post("/dialogues/d1/tags", data={"tag": "x" * 100_000, "author": "A"}).status_code == 400


@pytest.fixture
def carried_out(store: Store, tmp_path: Path) -> Iterator[None]:
    """The run is under way."""
    store.update(Run, "RUN1", status="running", finished_at=None, home=str(tmp_path / "RUN1"))
    with in_hand(store, "RUN1"):
        yield


def test_a_run_that_was_killed_is_not_shown_as_running(pages: TestClient, store: Store) -> None:
    store.update(Run, "RUN1", status="running", finished_at=None)
    for path in ("/", "/runs/RUN1/live"):
        while "being counted" in (part := pages.get(path).text):
            pass  # on a busy machine that takes longer than a page waits for it
        assert "badge died" in part
        assert not read(part).polls


def test_a_live_part_comes_again_only_when_something_happened(
    pages: TestClient, store: Store, carried_out: None
) -> None:
    while "being counted" in (part := pages.get("/runs/RUN1/live").text):
        pass  # on a busy machine that takes longer than a page waits for it
    [again] = read(part).polls
    while (answer := pages.get(again)).status_code == 200 and "being counted" in answer.text:
        pass  # likewise
    assert answer.status_code == 204
    store.add(*held(1, status="pending", started_at=STARTED + timedelta(days=1)))
    changed = pages.get(again)
    assert changed.status_code == 200
    assert "/dialogues/more-001?order=-started" in read(changed.text).rows


def test_the_list_of_runs_is_not_live_while_none_is_running(pages: TestClient) -> None:
    assert not read(pages.get("/").text).polls


def test_the_list_of_runs_is_live_while_one_is_running(pages: TestClient, store: Store, carried_out: None) -> None:
    while "being worked out" in pages.get("/").text:
        pass
    [again] = read(pages.get("/").text).polls
    assert pages.get(again).status_code == 204
    store.update(Adapter, "adapter2", status="rolled_back")
    assert pages.get(again).status_code == 200


def test_the_filtered_set_is_exported_with_its_card(pages: TestClient, store: Store) -> None:
    store.add(*held(1, round=2), turn(0, id="elsewhere", dialogue_id="more-001", content="said in round two"))
    answer = pages.get("/runs/RUN1/export/download?form=transcript&to=jsonl&round=1")
    assert answer.status_code == 200, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = {name.rpartition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    assert "README.md" in files
    assert '"dialogue_id": "d1"' in files["train.jsonl"]
    assert "said in round two" not in files["train.jsonl"]


def test_a_dialogue_is_found_by_the_beginning_of_its_id(pages: TestClient, store: Store) -> None:
    assert store.get(Dialogue, "judged-2-") is None
    assert pages.get("/dialogues/judged-2-0").status_code == 200
    assert "several" in pages.get("/dialogues/judged-2-").text


def test_a_judge_that_called_everything_a_tie_decided_nothing(pages: TestClient, store: Store) -> None:
    assert "66.0%" in pages.get("/runs/RUN1").text
    for row in store.select(Evaluation, run_id="RUN1"):
        ties = {"win": 0, "tie": 3, "loss": 0, "win_tie_rate": 1.0, "ci": [1.0, 1.0]}
        store.update(Evaluation, row.id, summary={**row.summary, **ties})
    for page in ("/runs/RUN1", "/", "/adapters/RUN1/2"):
        text = pages.get(page).text
        assert "nothing decided" in text, page
        assert "100.0% to 100.0%" not in text, page


def test_each_scorer_is_a_column_of_the_versions(pages: TestClient, store: Store) -> None:
    for row in store.select(Evaluation, run_id="RUN1"):
        scores = {"rubric": 0.672, "<b>reward": -1.23456} if row.adapter_version else {"rubric": 0.5}
        summary = {**row.summary, "scores": scores, "shares": ["rubric"], "unscored": {}}
        store.update(Evaluation, row.id, summary=summary)
    text = pages.get("/runs/RUN1").text
    assert "<bdi>rubric</bdi>" in text
    assert "<bdi>&lt;b&gt;reward</bdi>" in text
    assert '<td class="n">67.2%</td><td class="n">-1.23</td>' in text
    assert '<td class="n">50.0%</td><td class="n">\N{EN DASH}</td>' in text
