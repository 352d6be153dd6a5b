"""`openmic critic-card`: from a file of labelled pairs to a page, a table and JSON."""

import json
from pathlib import Path

import pytest

import openmic as face
from openmic.agents.endpoints import batches
from openmic.graph.context.replies import batching

from ..agents.batch_endpoint import BatchEndpoint
from ..agents.scripted_endpoint import Answer, Asked, ScriptedEndpoint, completion
from .conftest import Openmic

SOURCE = "Everyone at the office forgot Brenda's birthday."
PAIRS = [
    {
        "input": SOURCE,
        "first": "They forgot; the cake hired a lawyer.",
        "second": "They all forgot it.",
        "label": 1,
    },
    {
        "input": SOURCE,
        "first": "They forgot.",
        "second": "They forgot, and the cake resigned.",
        "label": 2,
    },
    {"input": SOURCE, "first": "The cake was late.", "second": "Nobody had bought any cake.", "label": 0},
]
SHORTER = "def shorter(source, outputs):\n    return [-len(output) for output in outputs]\n"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A file of pairs, and a critic of two lines beside it, in the folder that the command runs in."""
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)), encoding="utf-8")
    (tmp_path / "critics_of_mine.py").write_text(SHORTER)
    return path


def test_a_critic_of_two_lines_has_a_card(openmic: Openmic, pairs: Path, tmp_path: Path) -> None:
    outcome = openmic("critic-card", "pairs.jsonl", "--critic", "critics_of_mine:shorter", "--html", "card.html")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("# Critic card: critics\\_of\\_mine:shorter\n")
    assert "On the 2 pairs that people decided, the critic prefers the text that they prefer in 0.0%" in outcome.out
    assert "Too few pairs to say much" in outcome.out
    page = (tmp_path / "card.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    told = json.loads(openmic("critic-card", "pairs.jsonl", "--critic", "critics_of_mine:shorter", "--json").out)
    assert told["card"]["accuracy"]["value"] == 0
    assert told["card"]["length"]["people_alone_longer"]["value"] > 0.5
    assert told["replies"] == {"all": 0, "asked_now": 0}
    assert not (tmp_path / "openmic-data").exists()


@pytest.mark.slow
def test_a_model_is_asked_once_and_what_was_interrupted_goes_on(openmic: Openmic, pairs: Path, tmp_path: Path) -> None:
    spent = openmic("critic-card", "pairs.jsonl", "--set", "budget.tokens=10", "--set", "cast.critic.max_concurrency=1")
    assert spent.code == 4
    first, again = (json.loads(openmic("critic-card", "pairs.jsonl", "--json").out) for _ in range(2))
    assert first["simulated"]
    assert first["replies"]["all"] == 6  # three pairs, each in both orders
    assert 0 < first["replies"]["asked_now"] < 6
    assert again["replies"] == {"all": 6, "asked_now": 0}
    assert again["card"] == first["card"]
    others = json.loads(openmic("critic-card", "pairs.jsonl", "--json", "--set", "seed=8").out)
    assert others["replies"]["asked_now"] == 6  # another simulated critic
    assert "## Calibration (simulated cast)" in openmic("critic-card", "pairs.jsonl").out


def test_thoughts_that_nobody_answered_with_are_no_replies(openmic: Openmic, pairs: Path) -> None:
    def thinks_first(asked: Asked, number: int) -> Answer:
        if (asked.body.get("max_completion_tokens") or asked.body["max_tokens"]) > 500:
            return Answer(body=completion("<think>Hm.</think>1"))
        return Answer(body=completion("<think>Hm", finish_reason="length"))

    with ScriptedEndpoint() as endpoint:
        endpoint.chat = thinks_first
        cast = {"model": "m", "base_url": endpoint.base_url, "max_concurrency": 1}
        given = [word for key, value in cast.items() for word in ("--set", f"cast.critic.{key}={value}")]
        once = ("--set", "verdict.samples=1")
        made = openmic("critic-card", "pairs.jsonl", "--json", "--no-check", *given, *once)
    told = json.loads(made.out)
    assert told["replies"] == {"all": 6, "asked_now": 6}  # three pairs, each in both orders
    assert len(endpoint.bodies) == 7


def test_pairs_go_into_a_batch(openmic: Openmic, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "FEWEST", 3)
    monkeypatch.setattr(batching, "QUIET_S", 0.05)
    monkeypatch.setattr(batches, "FIRST_LOOK_S", 0.02)
    with BatchEndpoint() as endpoint:
        endpoint.chat = lambda asked, number: Answer(body=completion("1"))
        cast = {"model": "m", "base_url": endpoint.base_url, "batch": True}
        given = [word for key, value in cast.items() for word in ("--set", f"cast.critic.{key}={value}")]
        made = openmic("critic-card", "pairs.jsonl", "--json", "--no-check", "--set", "verdict.samples=1", *given)
        assert json.loads(made.out)["replies"] == {"all": 6, "asked_now": 6}
        assert [len(endpoint.requests(batch)) for batch in range(len(endpoint.batches))] == [5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "there is no file of labelled pairs 'none.csv'"),
        (["pairs.jsonl", "--label", "ann"], "line 1: there is no 'ann', only 'input', 'first', 'second', 'label'"),
        (["pairs.jsonl", "--first", "second"], "the column 'second' is named twice"),
        (["pairs.jsonl", "--critic", "none:at_all"], "none"),
        (["pairs.jsonl", "--critic", "critics_of_mine:broken"], "broken"),
        (["pairs.jsonl", "--html", "no/folder/card.html"], "there is no folder"),
    ],
)
def test_what_cannot_be_is_one_error(openmic: Openmic, pairs: Path, arguments: list[str], message: str) -> None:
    outcome = openmic("critic-card", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_a_scorer_that_fails_on_some_pairs_is_told_and_the_others_count(openmic: Openmic, pairs: Path) -> None:
    Path("moody_critics.py").write_text(
        "def moody(source, outputs):\n    assert 'They forgot.' not in outputs, 'too short'\n"
        "    return [len(output) for output in outputs]\n"
    )
    outcome = openmic("critic-card", "pairs.jsonl", "--critic", "moody_critics:moody")
    assert outcome.code == 3
    assert "No verdict on 1 pair: " in outcome.out
    assert "2 pairs of pairs.jsonl" in outcome.out


def test_a_card_is_made_of_rows_and_a_function_in_python() -> None:
    def longer(source: str, outputs: list[str]) -> list[int]:
        return [len(output) for output in outputs]

    found = face.critic_card(PAIRS, critic=longer)
    assert found.card is not None
    assert found.card.accuracy is not None
    assert found.card.accuracy.value == 1
    assert "100.0%" in found.to_markdown()
    assert repr(found).endswith("on rows given in Python: 100.0% as people>")


def test_a_card_is_not_written_over_the_pairs(openmic: Openmic, pairs: Path) -> None:
    before = pairs.read_text(encoding="utf-8")
    refused = openmic("critic-card", "pairs.jsonl", "--critic", "critics_of_mine:shorter", "--html", "./pairs.jsonl")
    assert refused.code == 2
    assert "is the file of the pairs" in refused.err
    assert pairs.read_text(encoding="utf-8") == before
