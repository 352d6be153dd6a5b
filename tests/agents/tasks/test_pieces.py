"""What of a teacher's reply is an output, and what stands around them."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.agents.tasks.pieces import pieces
from openmic.agents.tasks.task import Task, load_task

from ...properties import steady
from ..task_files import write_task

SOURCE = "I burned the toast this morning."
A, B, C = "My toast filed for divorce.", "It has a criminal record now.", "The toast works as charcoal."
LONG = " ".join(f"word{number}" for number in range(70))
LISTS = [
    f"1. {A}\n2. {B}\n3. {C}",
    f"1) {A}\n\n2) {B}\n\n3) {C}",
    f"(1) {A}\n(2) {B}\n(3) {C}",
    f"  1. {A}\n  2. {B}\n  3. {C}",
    f"**1.** {A}\n**2.** {B}\n**3.** {C}",
    f"1️⃣ {A}\n2️⃣ {B}\n3️⃣ {C}",
    f"A) {A}\nB) {B}\nC) {C}",
    f"Option 1: {A}\nOption 2: {B}\nOption 3: {C}",
    f"**Version 1:** {A}\n**Version 2:** {B}\n**Version 3:** {C}",
    f"### Option 1\n{A}\n\n### Option 2\n{B}\n\n### Option 3\n{C}",
    f"- {A}\n- {B}\n- {C}",
    f"* {A}\n* {B}\n* {C}",
    f"{A}\n{B}\n{C}",
    f"{A}\n\n{B}\n\n{C}",
    f"{A}\n\n---\n\n{B}\n\n---\n\n{C}",
    f"**{A}**\n\n**{B}**\n\n**{C}**",
    f"> {A}\n\n> {B}\n\n> {C}",
    f'1. "{A}"\n2. “{B}”\n3. *{C}*',
    f'1. "{A}" (a person)\n2. "{B}" *(a crime)*\n3. "{C}" [a job]',
    f"1. {A}\n   *Why it works: divorce.*\n2. {B}\n   - toast\n   - crime\n3. {C}",
    json.dumps([A, B, C]),
    json.dumps([A, B, C], indent=2),
    json.dumps([{"id": n, "text": text} for n, text in enumerate((A, B, C))]),
    json.dumps({"retellings": [{"retelling": text, "why": "x" * 99} for text in (A, B, C)]}),
    json.dumps({"1": A, "2": B, "3": C}),
    "\n".join(json.dumps({"joke": text}) for text in (A, B, C)),
    f"['{A}', '{B}', '{C}']",
    f"```\n1. {A}\n2. {B}\n3. {C}\n```",
    f"```json\n{json.dumps([A, B, C])}\n```",
    f"| # | text |\n|---|---|\n| 1 | {A} |\n| 2 | {B} |\n| 3 | {C} |",
    f"<think>1. One thing.\n2. Another thing.</think>\n1. {A}\n2. {B}\n3. {C}",
]
OTHERWISE = [
    f"① {A}\n② {B}\n③ {C}",
    f"一、{A}\n二、{B}\n三、{C}",
    f"（一）{A}\n（二）{B}\n（三）{C}",
    f"第一种：{A}\n第二种：{B}\n第三种：{C}",
    f"#1 {A}\n#2 {B}\n#3 {C}",
    f"#1: {A}\n#2: {B}\n#3: {C}",
    f"a) {A}\nb) {B}\nc) {C}",
    f"A. {A}\nB. {B}\nC. {C}",
    f"(a) {A}\n(b) {B}\n(c) {C}",
    f"i. {A}\nii. {B}\niii. {C}",
    f"Version A: {A}\nVersion B: {B}\nVersion C: {C}",
    f"First: {A}\nSecond: {B}\nThird: {C}",
    f"Erstens: {A}\nZweitens: {B}\nDrittens: {C}",
    f"0. {A}\n1. {B}\n2. {C}",
    f"1. {A}\n1. {B}\n1. {C}",
    f"1. {A} 2. {B} 3. {C}",
    f"1. {A}<br>2. {B}<br>3. {C}",
    f"\u200b1. {A}\n\u200b2. {B}\n\u200b3. {C}",
    f"\ufeff1. {A}\n2. {B}\n3. {C}",
    f"1. {A}\u20282. {B}\u20283. {C}",
    *(f"{mark}{A}\n{mark}{B}\n{mark}{C}" for mark in ("・", "→ ", "✅ ", "👉 ", "★ ", "■", "-")),
    f"<ol><li>{A}</li><li>{B}</li><li>{C}</li></ol>",
    f"<retellings>\n<retelling>{A}</retelling>\n<retelling>{B}</retelling>\n<retelling>{C}</retelling>\n</retellings>",
    f"<retelling_1>{A}</retelling_1>\n<retelling_2>{B}</retelling_2>\n<retelling_3>{C}</retelling_3>",
    f"1. <sentence>{A}</sentence>\n2. <sentence>{B}</sentence>\n3. <sentence>{C}</sentence>",
    f"1. `{A}`\n2. `{B}`\n3. `{C}`",
    f"1. {A} *(a person)*\n2. {B} **[a crime]**\n3. {C} (5 words)",
    f"1. *Divorce:* {A}\n2. *Crime*: {B}\n3. *(A job)* {C}",
    f"1. **Divorce** {A}\n2. **Crime** {B}\n3. **Job** {C}",
    f"**Option 1 (Divorce):** {A}\n\n**Option 2 (Crime):** {B}\n\n**Option 3 (Job):** {C}",
    f"| # | Retelling | Why |\n|---|---|---|\n| 1 | {A} | {LONG} |\n| 2 | {B} | {LONG} |\n| 3 | {C} | {LONG} |",
    f"| 1 | {A} |\n| 2 | {B} |\n| 3 | {C} |",
    json.dumps([{"original": LONG, "rewritten": text} for text in (A, B, C)]),
    json.dumps([{"type": LONG, "joke": text} for text in (A, B, C)]),
    json.dumps({"text": f"1. {A}\n2. {B}\n3. {C}"}),
    f"Original: {SOURCE}\n\nFunny: {A}\n\nFunny: {B}\n\nFunny: {C}",
    f"Here are three funny retellings of the sentence.\n\n{A}\n\n{B}\n\n{C}",
    f"好的，没问题！\n\n{A}\n\n{B}\n\n{C}",
    f"Okay, the user wants three funny retellings.\n\n{A}\n\n{B}\n\n{C}",
]
BEFORE = [
    "",
    "Sure! Here are three funny retellings:",
    "Here you go:",
    "Natürlich, hier sind drei Fassungen:",
    "以下是三个版本：",
]
AFTER = ["", "Let me know if you want more!", "I hope these make you smile.", "Feel free to ask for others."]


def answers(task: Task, reply: str, count: int = 3, *, cut_off: bool = False) -> list[str]:
    return [found.text for found in task.outputs(reply, SOURCE, count, cut_off=cut_off) if found.problem is None]


def turned_away(task: Task, reply: str, count: int = 3, *, cut_off: bool = False) -> list[str]:
    return [found.problem for found in task.outputs(reply, SOURCE, count, cut_off=cut_off) if found.problem]


@pytest.mark.parametrize("reply", LISTS)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("after", AFTER)
def test_every_form_of_a_list_is_read(task: Task, reply: str, before: str, after: str) -> None:
    if reply.startswith("<think>"):
        reply, before = reply.replace("</think>\n", f"</think>\n{before}\n\n"), ""
    whole = "\n\n".join(part for part in (before, reply, after) if part)
    assert answers(task, whole) == [A, B, C]


@pytest.mark.parametrize("reply", OTHERWISE)
def test_lists_of_other_kinds_are_read(task: Task, reply: str) -> None:
    assert answers(task, reply) == [A, B, C]


@pytest.mark.parametrize(
    "text",
    [
        "A. Smith has left me for a toaster.",
        "First: the toast filed for divorce.",
        "- said my toast, and left me.",
        "I. Am. Burned. Said the toast.",
        "#1 rule of toast: never look away.",
    ],
)
def test_what_looks_like_the_mark_of_a_list_stays_where_there_is_none(task: Task, text: str) -> None:
    assert answers(task, text) == [text.removeprefix("- ")]


TITLED = [
    f"1. **The Divorce**\n   {A}\n\n2. **The Record**\n   {B}\n\n3. **The Job**\n   {C}",
    f"1. **The Divorce**\n\n{A}\n\n2. **The Record**\n\n{B}\n\n3. **The Job**\n\n{C}\n\nEnjoy!",
    f"**1. The Divorce**\n{A}\n\n**2. The Record**\n{B}\n\n**3. The Job**\n{C}",
    f"### 1. The Divorce\n{A}\n\n### 2. The Record\n{B}\n\n### 3. The Job\n{C}",
    f"1. **The Divorce:** {A}\n2. **The Record**: {B}\n3. **The Job** - {C}",
    f"**The Divorce**\n{A}\n\n**The Record**\n{B}\n\n**The Job**\n{C}",
    f"# Three retellings\n\n**The Divorce**\n\n{A}\n\n**The Record**\n\n{B}\n\n**The Job**\n\n{C}",
    f"1. The Divorce:\n   {A}\n2. The Record:\n   {B}\n3. The Job:\n   {C}",
]


@pytest.mark.parametrize("reply", TITLED)
def test_titles_are_no_outputs(task: Task, reply: str) -> None:
    assert answers(task, reply) == [A, B, C]
    assert turned_away(task, reply).count("title") == 3


CUT = [
    f"1. {A}\n2. {B}\n3. Once upon a time the toast, having been",
    json.dumps([A, B, "Once upon a time the toast, having been"])[:-2],
    f"{A}\n\n{B}\n\nOnce upon a time the toast, having been",
    f"```\n1. {A}\n2. {B}\n3. Once upon a time the toast, having been",
]


@pytest.mark.parametrize("reply", CUT)
def test_what_was_cut_off_is_turned_away_alone(task: Task, reply: str) -> None:
    assert answers(task, reply, cut_off=True) == [A, B]
    assert turned_away(task, reply, cut_off=True) == ["cut off"]


@pytest.mark.parametrize(
    ("reply", "reasons"),
    [
        (
            f"1. {SOURCE}\n2. Ha.\n3. {' '.join(f'w{n}' for n in range(70))}",
            ["copy of the input", "too short", "too long"],
        ),
        (
            f"1. {A}\n2. {A.upper()}\n3. {B}\n4. {C}\n5. Another toast left me, too.",
            ["duplicate", "more than were asked for"],
        ),
        ("I'm sorry, but I can't help with that.", ["refusal"]),
        ("I'm sorry, but I can't do this:\n1. It is mean.\n2. It is toast.", ["refusal"]),
        (f"1. I can't help with that.\n2. {A}", ["refusal"]),
        ("Sure! Here are three:", ["preamble"]),
        ("", []),
        ("1.\n2.\n3.", []),
    ],
)
def test_the_gates_of_drafts_hold_for_what_a_teacher_writes(task: Task, reply: str, reasons: list[str]) -> None:
    assert turned_away(task, reply) == reasons


def test_numbers_within_a_text_begin_no_list(task: Task) -> None:
    for text in (
        "The 7:15 to Bremen has left me for the 7:20.",
        "2 slices of toast walked into a bar, burned.",
        "Room 1: nobody home but the toast and me.",
    ):
        assert answers(task, text, 1) == answers(task, f"1. {text}", 1) == [text]


def test_of_one_output_that_may_have_lines_all_are_kept(tmp_path: Path) -> None:
    task = load_task(str(write_task(tmp_path, cleaning={"first_line_only": False}, validity={"max_length_ratio": 99})))
    recipe = "Toast for two:\n1. Burn it.\n2. Apologise.\n\nServe with regret."
    assert answers(task, recipe, 1) == [recipe]
    both = f"1. First verse.\nOf toast I sing.\n\n2. {B}\nAnd so have I.\n\nLet me know if you want more!"
    assert answers(task, both, 2) == ["First verse.\nOf toast I sing.", f"{B}\nAnd so have I."]
    announced = f"Sure! Here is a retelling:\n\n{A}\n\nIt was burned.\n\nI hope this helps!"
    assert answers(task, announced, 1) == [f"{A}\n\nIt was burned."]


PARTS = st.sampled_from(
    [
        "1. ",
        "2) ",
        "- ",
        "**",
        '"',
        "{",
        "}",
        "[",
        "]",
        "```",
        "\n",
        "\n\n",
        ": ",
        A,
        "Sure! Here are three:",
        "#",
        "|",
        ">",
    ]
)


@steady
@given(st.lists(PARTS, max_size=14), st.integers(1, 3), st.booleans())
def test_whatever_is_written_reading_it_makes_pieces_of_the_reply(parts: list[str], count: int, lines: bool) -> None:
    reply = "".join(parts)
    for piece in pieces(reply, count, lines=lines):
        assert set(re.findall(r"\w+", piece.text)) <= set(re.findall(r"\w+", reply))


@steady
@given(st.lists(PARTS, max_size=14), st.integers(1, 3))
def test_never_more_answers_than_were_asked_for(task: Task, parts: list[str], count: int) -> None:
    found = answers(task, "".join(parts), count)
    assert len(found) <= count
    assert len({text.casefold() for text in found}) == len(found)
