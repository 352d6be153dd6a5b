"""The pages of outputs, of runs beside each other, and what lists say of an evaluation."""

from html import unescape

import pytest
from starlette.testclient import TestClient

from openmic.store import Store, TrainingItem

from ..in_hand import in_hand
from ..store.rows import dialogue, preference, run, turn
from .markup import read

COMPARED = "/compare?run=RUN1&run=RUN2"


def text_of(pages: TestClient, path: str, *, without: str = "") -> str:
    """What a page says, once what it works out in the background is there."""
    for _ in range(300):
        text = unescape(pages.get(path).text)
        if without not in text or not without:
            return text
    raise AssertionError(f"{path} still says {without!r}")


def test_outputs_are_sorted_and_filtered_and_each_leads_to_its_dialogue(unchanged: TestClient) -> None:
    every = read(unchanged.get("/runs/RUN1/samples?version=2").text)
    assert sorted(every.rows) == [f"/dialogues/judged-2-{number}" for number in range(3)]
    backwards = read(unchanged.get("/runs/RUN1/samples?version=2&sort=-input").text)
    assert backwards.rows == every.rows[::-1]
    assert len(read(unchanged.get("/runs/RUN1/samples?version=2&outcome=win").text).rows) == 3
    assert read(unchanged.get("/runs/RUN1/samples?version=2&outcome=loss").text).rows == []
    assert "No output is like that" in unchanged.get("/runs/RUN1/samples?version=2&text=nowhere+at+all").text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/runs/RUN1/samples?version=1", "adapter v1 of run RUN1 was not judged on test inputs; v0, v2 were"),
        ("/runs/RUN1/samples?sort=beauty", "sort='beauty': there are input, length, outcome"),
        ("/runs/RUN1/samples?outcome=draw", "outcome: "),
        ("/compare?" + "&".join(f"run=RUN{number}" for number in range(1, 15)), "no run goes by"),
    ],
)
def test_outputs_that_cannot_be_meant_are_said(unchanged: TestClient, path: str, said: str) -> None:
    answer = unchanged.get(path)
    assert answer.status_code in {400, 404}
    assert said in unescape(answer.text)


def test_win_tie_and_loss_of_a_run_lead_to_their_outputs(unchanged: TestClient) -> None:
    links = read(unchanged.get("/runs/RUN1").text).links
    assert "/runs/RUN1/samples?version=2&outcome=win" in [unescape(link) for link in links]


def test_runs_are_compared_on_a_page_and_one_that_was_not_judged_is_said(pages: TestClient, store: Store) -> None:
    store.add(run(id="RUN2", name="second", config={"student": {"model": "other"}}, status="finished"))
    text = text_of(pages, COMPARED, without="are being compared")
    assert "student.model" in text
    assert "B: no version of RUN2 was judged on the test inputs to the end" in text
    assert "Tick two runs or more" in pages.get("/compare?run=RUN1&run=RUN1").text


def test_the_list_of_runs_offers_them_for_comparing_and_tells_them_apart(pages: TestClient, store: Store) -> None:
    store.add(run(id="RUN2", name="second", experiment="table", arm="dpo", config={"training": {"objective": "dpo"}}))
    with in_hand(store, "RUN2"):
        text = text_of(pages, "/")
    assert text.count('type="checkbox"') == 2
    assert "experiment table, arm dpo" in text
    assert "Compare the runs that are ticked" in text


def test_dialogues_are_filtered_by_the_split_of_their_input(unchanged: TestClient) -> None:
    train = read(unchanged.get("/runs/RUN1/dialogues?split=train").text).rows
    assert [link.partition("?")[0] for link in train] == ["/dialogues/d1"]
    answer = unchanged.get("/runs/RUN1/dialogues?split=nowhere")
    assert answer.status_code == 400
    assert "split='nowhere' is none of train, dev, test" in unescape(answer.text)


def test_a_derived_runs_dialogues_have_the_splits_of_the_campaign(pages: TestClient, store: Store) -> None:

    store.add(run(id="RUN2", kind="train", source_run_id="RUN1"), run(id="RUN3", kind="evaluate", source_run_id="RUN2"))
    store.add(dialogue(id="far", run_id="RUN3", status="finished"))
    assert "/dialogues/far" in pages.get("/runs/RUN3/dialogues?split=train").text
    assert "/dialogues/far" not in pages.get("/runs/RUN3/dialogues?split=test").text


def test_how_a_dialogue_ended_comes_before_what_was_said_and_drafts_are_folded(unchanged: TestClient) -> None:
    text = unchanged.get("/dialogues/d1").text
    assert text.index("How it ended") < text.index('class="turns"')
    folded = text[text.index("2 drafts, #1 to #2") :]
    assert folded.index('id="turn-1"') < folded.index("</details>") < folded.index("verdict:")
    # The verdict shows the texts that are folded away.
    judged = folded[folded.index("verdict:") :]
    assert judged.index("draft") < judged.index("other draft") < judged.index("is better")


def test_what_an_adapter_learned_from_has_pages(
    pages: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openmic.viewer.pages.adapter.PAGE", 1)

    store.add(turn(6, content="a third"), preference(id="p2", chosen_turn_id="t6", rejected_turn_id="t1"))
    store.add(TrainingItem(id="i2", training_id="x1", run_id="RUN1", position=1, preference_id="p2"))
    first = read(pages.get("/adapters/RUN1/2").text)
    second = pages.get("/adapters/RUN1/2?page=2").text
    assert unescape(first.relations["next"]) == "/adapters/RUN1/2?page=2"
    assert "a third" in second
    assert ">2. " in second
