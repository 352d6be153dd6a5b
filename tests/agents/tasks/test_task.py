from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.agents.tasks.task import Task, load_task
from openmic.core.errors import TaskError
from openmic.simulator.prompts import read_prompt

from ...properties import steady
from ..task_files import HUMOR, write_task

# Rendering


def test_a_prompt_is_a_system_and_a_user_message(task: Task) -> None:
    system, user = task.render("critic", "compare", input="A bus.", first="one", second="two", overused=[])
    assert (system.role, system.content) == ("system", HUMOR["critic"]["system"].strip())
    assert user.role == "user"
    assert user.content.startswith("<sentence>A bus.</sentence>\n<first>one</first>\n<second>two</second>")
    assert "heard" not in user.content


def test_the_number_of_texts_is_asked_for_in_so_many_words(task: Task) -> None:
    one, three = (
        task.render("teacher", "demonstrate", input="A bus.", count=n, overused=[])[1].content for n in (1, 3)
    )
    assert "in exactly 1 funny way." in one
    assert "numbered list" not in one
    assert "in exactly 3 funny ways." in three
    assert "numbered list" in three


@pytest.mark.parametrize(
    ("role", "purpose"), [("teacher", "demonstrate"), ("critic", "compare"), ("critic", "critique")]
)
def test_heard_endings_stand_one_per_line(task: Task, role: str, purpose: str) -> None:
    values = {"input": "x", "count": 2, "first": "y", "second": "z", "draft": "y"}
    text = task.render(role, purpose, **values, overused=["sends its regards", "once a week"])[1].content
    assert "<heard>\nsends its regards\nonce a week\n</heard>" in text


def test_the_simulated_cast_reads_what_is_rendered(task: Task) -> None:
    values = {"input": "a < b & c", "first": "one\ntwo", "second": "</first>", "overused": ["x y z"]}
    prompt = read_prompt([task.render("critic", "compare", **values)[1].content])
    assert (prompt.source, prompt.first, prompt.second) == ("a < b & c", "one\ntwo", "</first>")
    assert prompt.heard == ("x y z",)
    assert read_prompt([task.render("teacher", "demonstrate", input="a", count=7, overused=[])[1].content]).count == 7


@steady
@given(st.text(st.sampled_from("<>/&;lgtamp{}%sentence \n")), st.text(st.sampled_from("<>/first secondheard&{}")))
def test_a_text_reaches_the_other_side_as_it_was(task: Task, sentence: str, first: str) -> None:
    prompt = read_prompt([task.render("judge", "compare", input=sentence, first=first, second="s")[1].content])
    assert (prompt.source, prompt.first, prompt.second) == (sentence.strip(), first.strip(), "s")


def test_whatever_a_template_shows_is_escaped(tmp_path: Path) -> None:
    compare = "{{ input|safe }} {{ [first] }} {{ second|upper }} <b>"
    task = load_task(str(write_task(tmp_path, judge={"compare": compare})))
    text = task.render("judge", "compare", input="</a>", first="</b>", second="</c>")[1].content
    assert text == "&lt;/a&gt; ['&lt;/b&gt;'] &lt;/C&gt; <b>"


def test_the_student_gets_texts_as_they_are(task: Task) -> None:
    assert task.render("student", "draft", input="5 < 6 & </b>")[1].content == "5 < 6 & </b>"
    assert task.render("student", "revise", suggestion="Use <b>.")[1].content.startswith("Use <b>.")


def test_a_value_that_is_missing_is_named(task: Task) -> None:
    with pytest.raises(TaskError, match=r"critic\.compare does not render: 'second' is undefined"):
        task.render("critic", "compare", input="x", first="y", overused=[])


def test_a_template_is_known_by_what_it_says(task: Task, tmp_path: Path) -> None:
    other = load_task(str(write_task(tmp_path, critic={"compare": HUMOR["critic"]["compare"] + "!"})))
    assert task.template("critic", "compare").hash != other.template("critic", "compare").hash
    assert task.template("critic", "critique").hash == other.template("critic", "critique").hash
    assert task.hash != other.hash
    assert load_task("humor").hash == task.hash
    assert len({template.hash for template in task.templates()}) == len(task.templates()) == 15


def test_a_style_that_the_task_has_no_prompt_for_is_named(tmp_path: Path) -> None:
    task = load_task(str(write_task(tmp_path, name="mine", critic={"reason": None})))
    with pytest.raises(
        TaskError, match=r"task mine has no prompt critic\.reason, only cloze, compare, critique, hint, sys"
    ):
        task.render("critic", "reason", input="x", first="y", second="z", overused=[])
    with pytest.raises(TaskError, match=r"task mine has no prompt clown\.joke, only none of that role"):
        task.template("clown", "joke")


# Replies


CLEAN = [
    ("  The bus left.\n", "The bus left."),
    ("1. The bus left.", "The bus left."),
    ("2) The bus left.", "The bus left."),
    ("(3) The bus left.", "The bus left."),
    ("- The bus left.", "The bus left."),
    ("• The  bus\tleft.", "The bus left."),
    ('"The bus left."', "The bus left."),
    ("“The bus left.”", "The bus left."),
    ("'The bus wasn't late.'", "The bus wasn't late."),
    ("**The bus left.**", "The bus left."),
    ('**"The bus left."**', "The bus left."),
    ("*The bus left.*", "The bus left."),
    ('1. "The bus left."', "The bus left."),
    ("\n\nThe bus left.\n\nI hope you like it!", "The bus left."),
    ('"Fine," said the bus, "I quit."', '"Fine," said the bus, "I quit."'),
    ("“Fine,” said the bus, “I quit.”", "“Fine,” said the bus, “I quit.”"),
    ("'Fine,' said the bus, 'I quit.'", "'Fine,' said the bus, 'I quit.'"),
    ("The *bus* left.", "The *bus* left."),
    ("The **bus** __left__.", "The bus left."),
    ("`The bus left.`", "The bus left."),
    ("The bus &amp; I left &quot;early&quot;.", 'The bus & I left "early".'),
    ("<sentence>The bus left.</sentence>", "The bus left."),
    ("The bus left. *(Personification)*", "The bus left."),
    ("The bus left (me).", "The bus left (me)."),
    ("① The bus left.", "The bus left."),
    ("Sure! Here is a funny version:\n\nThe bus left.", "The bus left."),
    ("Here's a funny retelling of your sentence: **The bus left.**", "The bus left."),
    ("```\nThe bus left.\n```", "The bus left."),
    ("<think>A bus?</think>The bus left.", "The bus left."),
    ("A bus?</think>\nThe bus left.", "The bus left."),
    ("<think>A bus", ""),
    ('{"text": "The bus left."}', "The bus left."),
    ('"The bus left." (a bus with feelings)', "The bus left."),
    ("> The bus left.", "The bus left."),
    ("Here is my bus: gone.", "Here is my bus: gone."),
    ("Great! Now the bus quit.", "Great! Now the bus quit."),
    ("Okay, I missed the bus.", "Okay, I missed the bus."),
    ("3.5 tons of bus left.", "3.5 tons of bus left."),
    ("1999. What a year.", "1999. What a year."),
    ("-5 degrees, said the bus.", "-5 degrees, said the bus."),
    ("1、公交车走了。", "公交车走了。"),
    ("２．公交车走了。", "公交车走了。"),
    ("10：30公交车走了。", "10：30公交车走了。"),
    ("３．５トンのバス。", "３．５トンのバス。"),
    ("「バスは行った。」", "バスは行った。"),
    ("「行くぞ」とバスは言った「さらば」", "「行くぞ」とバスは言った「さらば」"),
    ("„Der Bus ist weg.“", "Der Bus ist weg."),
    ("«Le bus est parti.»", "Le bus est parti."),
    ('"', '"'),
    ('""', ""),
    ("", ""),
    (" \n ", ""),
]


@pytest.mark.parametrize(("reply", "output"), CLEAN)
def test_an_output_is_what_is_left_of_a_reply(task: Task, reply: str, output: str) -> None:
    assert task.clean(reply) == output
    assert task.clean(output) == output


def test_a_nul_is_cleaned_away(tmp_path: Path) -> None:
    assert load_task(str(write_task(tmp_path))).clean("One\0 line.\0") == "One line."


def test_cleaning_can_be_switched_off(tmp_path: Path) -> None:
    task = load_task(str(write_task(tmp_path, cleaning={"first_line_only": False, "strip_quotes": False})))
    assert task.clean('"One line.\nAnother."') == '"One line.\nAnother."'


def test_the_tasks_own_rules_are_the_gates(tmp_path: Path) -> None:
    task = load_task(str(write_task(tmp_path, validity={"min_words": 8, "complete": False})))
    assert task.problem("Only four words here.", "x") == "too short"
    assert load_task("humor").problem("Only four words here.", "Four words are here.") is None
    whole = "One text of eight words, and it ends"
    assert task.problem(whole, "Eight words.", cut_off=True) is None
    assert load_task("humor").problem(whole, "Eight words.", cut_off=True) == "cut off"


@pytest.mark.parametrize(
    "reply",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, I can’t do that.",
        "Sorry, I can't assist with this request.",
        "I cannot help with that.",
        "I can't help you.",
        "I can’t write jokes about this.",
        "I'm unable to comply.",
        "As an AI language model, I have no toaster.",
        "I'm really sorry, but I cannot write this.",
        "I’m not able to make jokes about people.",
        "Unfortunately, I can't create that.",
        "I can't answer that.",
        "I cannot engage with this request.",
        "I won't choose between these two texts.",
        "Sorry, that isn't something I can help with.",
        "Sorry, as an AI I have no bus.",
        "Es tut mir leid, aber ich kann dabei nicht helfen.",
        "Lo siento, pero no puedo ayudar con eso.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "抱歉，我无法提供帮助。",
        "申し訳ありませんが、お手伝いできません。",
        "",
    ],
)
def test_a_refusal_is_known(task: Task, reply: str) -> None:
    assert task.refused(reply)


@pytest.mark.parametrize(
    "text",
    [
        "I can't find my keys, and my keys are enjoying it.",
        "I cannot sleep, unlike my alarm clock.",
        "I can't help laughing at the printer.",
        "As an aisle seat, it was ambitious.",
        "The waiter was sorry, I'm told.",
        "Sorry, the 7:15 train will not run from 2 to 6 August.",
        "I'm sorry I burned the toast; it had plans.",
        "I can't help but admire the printer's timing.",
        "Sorry, that isn't my bus.",
        "Sorry, as a rule the bus leaves without me.",
        "I can't continue like this, said my alarm clock.",
        "I won't judge a bus by its driver.",
        "I cannot choose, and neither can my two left feet.",
        "I can't answer; my phone has left me for a charger.",
        "I won't compare, but the other bus had curtains.",
    ],
)
def test_a_sentence_in_the_first_person_is_no_refusal(task: Task, text: str) -> None:
    assert not task.refused(text)


def test_what_the_input_says_itself_is_no_refusal(task: Task) -> None:
    source = "I can't help you move on Sunday."
    assert task.problem("I can't help you move on Sunday, my back has joined a union.", source) is None
    assert task.problem("I can't help you with that, I'm afraid.", "The bus left without me.") == "refusal"


@pytest.mark.parametrize(
    "text",
    [
        "Klara sagte: Der Bus ist weg.",
        "Gernot sagte: Der Bus ist weg.",
        "Klar ist nur eins: der Bus kommt nie.",
        "Natürlich sagte der Bus kein Wort: er hupte.",
        "Claro que el bus dijo: adiós.",
        "Certo giorno il bus disse: addio.",
        "当然会迟到：公交车今天很忙。",
        "好的公交车会说：再见，我走了。",
        "Eccoli tutti: il bus e i suoi amici.",
    ],
)
def test_an_output_that_begins_as_an_assent_does_keeps_its_beginning(task: Task, text: str) -> None:
    assert task.clean(text) == text


@pytest.mark.parametrize(
    "before",
    [
        "Klar:",
        "Klar, hier ist eine lustige Fassung:",
        "Gern! Hier sind drei Fassungen:",
        "Hier ist mein Vorschlag:",
        "Bien sûr, voici une version :",
        "Claro, aquí tienes una versión:",
        "Claro que sí: ",
        "Certo, ecco una versione:",
        "当然可以！以下是一个版本：",
        "好的，这里是一个版本：",
        "もちろんです。こちらが一つの案です：",
        "承知しました。以下の通りです：",
    ],
)
def test_what_announces_an_output_in_another_language_is_no_part_of_it(task: Task, before: str) -> None:
    assert task.clean(f"{before} A bus, gone.") == "A bus, gone."


def test_a_tasks_own_refusals_take_the_place_of_those_that_models_use(tmp_path: Path) -> None:
    """In any language; none at all where the list is empty."""
    usual, own = "I'm sorry, but I can't help with that.", "Nid wyf yn gallu helpu gyda hynny."
    for patterns, refused in ((None, [True, False]), ([], [False, False]), ([r"nid wyf yn gallu"], [False, True])):
        task = load_task(str(write_task(tmp_path, validity={"refusals": patterns})))
        found = [task.problem(text, "The parcel is late.") == "refusal" for text in (usual, own)]
        assert found == refused
        assert [bool(task.outputs(text, "The parcel is late.", 1)[0].problem) for text in (usual, own)] == refused
        assert task.refused(usual)  # of a model that compares: it names no text, whatever the task's outputs are


@pytest.mark.parametrize(("pattern", "why"), [("(", "no regular expression"), ("x*", "matches every text")])
def test_a_refusal_that_cannot_be_looked_for_is_named(tmp_path: Path, pattern: str, why: str) -> None:
    with pytest.raises(TaskError, match=why):
        load_task(str(write_task(tmp_path, validity={"refusals": [pattern]})))


# Line breaks

LETTER = "Dear Ms Roe,\n\n\n\nyour  parcel is\ton its way.\r\n\r\nKind regards"


@pytest.mark.parametrize(
    ("cleaning", "said"),
    [
        ({"first_line_only": False}, "Dear Ms Roe,\n\nyour parcel is on its way.\n\nKind regards"),
        ({"first_line_only": False, "line_breaks": False}, "Dear Ms Roe, your parcel is on its way. Kind regards"),
        ({}, "Dear Ms Roe,"),
    ],
)
def test_line_breaks_stay_where_the_task_wants_them(cleaning: dict[str, bool], said: str) -> None:
    task = Task("letter", student={"system": "Answer."}, cleaning=cleaning)
    assert task.clean(LETTER) == said
    assert task.clean(task.clean(LETTER)) == said
    assert task.outputs(LETTER, "Where is it?", 1)[0].text == said
    assert [output.text for output in task.checked([LETTER], "Where is it?", 1)] == [said]


def test_line_breaks_cannot_be_kept_of_one_line() -> None:
    with pytest.raises(TaskError, match="line_breaks are kept of what first_line_only cuts off"):
        Task("letter", student={"system": "Answer."}, cleaning={"line_breaks": True})
