"""Searching, comparing and tagging a whole run's dialogues, and how a dialogue is laid out."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from openmic.cli.transcripts.conversation import print_conversation
from openmic.store import Conversation, Dialogue, Store

from ..whole_run import WholeRun
from .conftest import Openmic


def json_of(openmic: Openmic, *arguments: str) -> Any:
    outcome = openmic("transcripts", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_filters_combine_and_lists_are_sorted(of_run: Openmic) -> None:
    rows = json_of(of_run, "list", "--stage", "all", "-n", "500", "--sort", "-turns")
    assert [row["turns"] for row in rows] == sorted((row["turns"] for row in rows), reverse=True)
    assert {row["stage"] for row in rows} == {"demonstrate", "collect", "evaluate"}
    judged = json_of(of_run, "list", "--stage", "evaluate", "--adapter", "2", "--agent", "judge", "-n", "500")
    assert judged
    assert {row["round"] for row in judged} == {2}
    assert json_of(of_run, "list", "--adapter", "2", "--agent", "judge") == []


def test_a_tag_finds_a_dialogue_again(openmic: Openmic, run: WholeRun, tmp_path: Path) -> None:
    path = tmp_path / "copy.db"
    for source in run.home.glob("openmic.db*"):
        shutil.copy(source, path.with_name(source.name.replace("openmic", "copy")))
    store = ("--store", str(path))
    name = json_of(openmic, "list", "-n", "1", *store)[0]["dialogue"]
    assert json_of(openmic, "tag", name, "keep", "[red]very  funny", "--author", "ann", *store)["tags"] == [
        "[red]very funny",
        "keep",
    ]
    [row] = json_of(openmic, "list", "--tag", "[red]very funny", *store)
    assert (row["dialogue"], row["tags"]) == (name, ["[red]very funny", "keep"])
    assert "[red]very funny, keep" in openmic("transcripts", "show", name, *store).out
    assert openmic("transcripts", "tag", name, "keep", "--remove", *store).out == f"dialogue {name}: [red]very funny\n"
    assert openmic("transcripts", "tag", name, " ", *store).code == 2
    assert "[red]very funny" in openmic("transcripts", "list", *store).out


def test_search_shows_what_matched_and_where(of_run: Openmic) -> None:
    text = json_of(of_run, "list", "-n", "1")[0]["input"]
    word = max(text.strip(".").split(), key=len)
    hits = json_of(of_run, "search", word, "-n", "3")
    assert hits
    assert all(any(piece["matched"] for piece in hit["snippet"]) for hit in hits)
    shown = of_run("transcripts", "search", word, "-n", "3")
    assert f"{hits[0]['dialogue'][:12]}#{hits[0]['place']}" in shown.out
    assert "»" in shown.out
    assert of_run("transcripts", "search", "xyzzyx").err == "nothing matches\n"
    assert of_run("transcripts", "search", " ").code == 2


def test_search_goes_on_after_a_hit(of_run: Openmic) -> None:
    hits = json_of(of_run, "search", "the", "-n", "4")
    page = of_run("transcripts", "search", "the", "-n", "2")
    last = f"{hits[1]['dialogue'][:12]}#{hits[1]['place']}"
    assert page.err == f"more: add --after '{last}'\n"
    assert json_of(of_run, "search", "the", "-n", "2", "--after", last) == hits[2:]
    assert json_of(of_run, "search", "the", "-n", "2", "--after", hits[1]["turn"]) == hits[2:]


def test_two_versions_on_one_input_stand_side_by_side(of_run: Openmic) -> None:
    found = json_of(of_run, "diff", "--adapters", "1", "2")
    versions = [{t["adapter_version"] for t in found[side]["turns"]} - {None} for side in "ab"]
    assert versions == [{1}, {2}]
    assert found["a"]["input"] == found["b"]["input"]
    said = {side: found[side]["turns"][0]["content"] for side in "ab"}
    assert "".join(piece["text"] for piece in found["diff"] if piece["kind"] != "added") == said["a"]
    assert "".join(piece["text"] for piece in found["diff"] if piece["kind"] != "removed") == said["b"]
    again = json_of(of_run, "diff", "--adapters", "1", "2", "--input", found["a"]["dialogue"]["example_id"][:12])
    assert again == found
    shown = of_run("transcripts", "diff", "--adapters", "1", "2").out
    assert shown.count("judge verdict") == 2
    assert "A → B" in shown


def test_two_dialogues_stand_side_by_side(of_run: Openmic) -> None:
    names = [row["dialogue"] for row in json_of(of_run, "list", "-n", "2")]
    found = json_of(of_run, "diff", *names)
    assert [found[side]["dialogue"]["id"] for side in "ab"] == names
    assert of_run("transcripts", "diff", *names).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("latest",), "name two dialogues"),
        (("--adapters", "1", "2", "latest", "latest"), "name two dialogues"),
        (("--adapters", "1", "9"), "no evaluation of adapter version 9"),
        (("--adapters", "1", "2", "--input", "xyzzy"), "is 'xyzzy'; there are"),
    ],
)
def test_what_cannot_be_compared_is_an_error(of_run: Openmic, arguments: tuple[str, ...], said: str) -> None:
    outcome = of_run("transcripts", "diff", *arguments)
    assert outcome.code == 2
    assert said in outcome.err


def test_raw_shows_every_request_and_reply(of_run: Openmic) -> None:
    found = json_of(of_run, "show", "latest", "--raw")
    asked = {turn["request_key"] for turn in found["turns"] if turn["agent"] != "student"}
    assert {call["key"] for call in found["calls"]} == asked
    shown = of_run("transcripts", "show", "latest", "--raw").out
    assert shown.count("request {") == shown.count("reply {") == len(found["turns"])


def revised(run: WholeRun) -> Conversation:
    with Store.open_readonly(run.store) as store:
        for dialogue in store.select(Dialogue, stage="collect"):
            conversation = store.conversation(dialogue.id)
            for turn in conversation.turns:
                parent = next((one for one in conversation.turns if one.id == turn.parent_turn_id), None)
                if turn.kind == "revision" and parent is not None and parent.content != turn.content:
                    return conversation
    raise AssertionError("no dialogue with a revision")


def drawn(conversation: Conversation, **options: Any) -> str:
    console = Console(file=io.StringIO(), highlight=False, **options)
    print_conversation(console, conversation)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_revision_shows_what_was_changed_with_and_without_colours(run: WholeRun) -> None:
    conversation = revised(run)
    for turn in conversation.turns:  # a tiny student writes garbage, where any marks may stand
        turn.content = f"The kettle {'sulked' if turn.kind == 'revision' else 'broke'} again."
    plain = drawn(conversation, width=120)
    assert "[-broke-]" in plain
    assert "{+sulked+}" in plain
    coloured = drawn(conversation, width=120, force_terminal=True, color_system="standard", no_color=False)
    assert "[-" not in coloured
    assert "{+" not in coloured
    assert re.search("\x1b\\[[0-9;]*31mbroke", coloured)
    assert re.search("\x1b\\[[0-9;]*32msulked", coloured)
    unwanted = drawn(conversation, width=120, force_terminal=True, color_system="standard", no_color=True)
    assert "[-broke-]" in unwanted
    assert "{+sulked+}" in unwanted


def test_a_critique_stands_beside_what_it_criticises_where_there_is_room(run: WholeRun) -> None:
    conversation = revised(run)
    [critique, *_] = conversation.critiques
    target = next(turn for turn in conversation.turns if turn.id == critique.target_turn_id)
    label = f"#{target.seq + 1} {target.content[:10]}"
    wide, narrow = (drawn(conversation, width=width, force_terminal=True, color_system=None) for width in (140, 80))
    first = critique.works.split()[0]
    assert any(label in line and first in line for line in wide.splitlines())
    assert not any(label in line and first in line for line in narrow.splitlines())


def test_texts_judged_again_go_by_letters(run: WholeRun) -> None:
    conversation = revised(run)
    texts = [turn for turn in conversation.turns if turn.agent == "student"]
    verdict = conversation.verdicts[0]
    away = Conversation(
        dialogue=conversation.dialogue,
        example=conversation.example,
        run=conversation.run,
        turns=[turn for turn in conversation.turns if turn.id in {verdict.forward_turn_id, verdict.reverse_turn_id}],
        verdicts=[verdict],
        ballots=[ballot for ballot in conversation.ballots if ballot.verdict_id == verdict.id],
        quoted=[turn for turn in texts if turn.id in {verdict.first_turn_id, verdict.second_turn_id}],
        critiques=[],
        preferences=[row for row in conversation.preferences if row.verdict_id == verdict.id],
    )
    shown = drawn(away, width=120)
    assert "A against B" in shown
    assert "A (the student's draft): " in shown
