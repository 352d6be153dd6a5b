import math

import pytest

from openmic.agents.verdicts.labels import Label, LabelStyle, read_label, undecided
from openmic.core.errors import ReplyError
from openmic.core.records import LLMReply, TokenLogprob

from ..exchanges import reply, token

# A label that comes first


def test_the_ways_a_tokenizer_writes_a_label_are_summed() -> None:
    tokens = {"1": 0.3, " 1": 0.1, "1.": 0.05, "(1": 0.05, '"1"': 0.1, "2": 0.1, " 2": 0.05, "**2": 0.05, "The": 0.2}
    first = TokenLogprob(token="1", logprob=math.log(0.3), alternatives={t: math.log(p) for t, p in tokens.items()})
    p, method = read_label(LLMReply(text="1", model="m", token_logprobs=(first,)), "label")[:2]
    assert p == pytest.approx(0.6 / 0.8)
    assert method == "logprobs"


def test_the_probabilities_outrank_the_text() -> None:
    assert read_label(reply("1", **{"1": 0.2, "2": 0.6}), "label").p_one == pytest.approx(0.25)


def test_other_numbers_are_no_labels() -> None:
    p = read_label(reply("1", **{"1": 0.1, "2": 0.1, "12": 0.5, "21": 0.2, "3": 0.1}), "label").p_one
    assert p == pytest.approx(0.5)


def certain(text: str) -> Label:
    return Label(1.0 if text == "1" else 0.0, "text")


@pytest.mark.parametrize(
    ("chances", "p"),
    [
        ({"2": 0.9, "The": 0.1}, 0.0),  # nothing is left for the other
        ({"2": 0.9, "The": 0.05}, 0.05 / 0.95),
        ({"1": 0.03, "The": 0.5, "Both": 0.01}, 0.03 / 0.04),
        ({"1": 1e-9, "The": 0.9}, 0.5),
    ],
)
def test_a_label_that_is_not_among_the_alternatives_has_what_the_last_of_them_has_at_most(
    chances: dict[str, float], p: float
) -> None:
    found = read_label(reply(next(iter(chances)), **chances), "label")
    assert (found.p_one, found.method) == (pytest.approx(p), "logprobs")


def test_a_token_without_alternatives_leaves_the_rest_to_the_other() -> None:
    bare = LLMReply(text="2", model="m", token_logprobs=(TokenLogprob(token=" 2", logprob=math.log(0.9)),))
    assert read_label(bare, "label").p_one == pytest.approx(0.1)


def test_where_both_labels_have_too_little_of_the_mass_words_decide() -> None:
    odds = {"1": 0.03, "2": 0.02, "The": 0.9}
    assert read_label(reply("2", **odds), "label", 0.2) == (0.0, "text", pytest.approx(0.05), False)
    found = read_label(reply("2", **odds), "label", 0.049)
    assert (found.p_one, found.method, found.answers) == (pytest.approx(0.6), "logprobs", True)
    with pytest.raises(ReplyError, match="names neither 1 nor 2; both labels together had 5% of the probability"):
        read_label(reply("The", **odds), "label", 0.2)


def test_next_to_nothing_for_either_label_is_next_to_a_tie() -> None:
    found = undecided(reply("The", **{"1": 0.05, "The": 0.9, "A": 0.01}))
    assert found is not None
    assert found.p_one == pytest.approx(0.05 / 0.06 * 0.05 + 0.95 / 2)
    assert (found.answers, found.mass) == (False, pytest.approx(0.05))
    assert undecided(reply("The", The=0.9, A=0.01)) is None
    assert undecided(reply("The")) is None


@pytest.mark.parametrize("space", ["\u0120", "▁", " ", "\n", "**", "(", '"'])
def test_labels_are_known_in_a_vocabularys_own_spelling(space: str) -> None:
    first = TokenLogprob(token=f"{space}1", logprob=-0.9, alternatives={f"{space}1": -0.9, f"{space}2": -0.6})
    found = read_label(LLMReply(text=" 1", model="m", token_logprobs=(first,)), "label", 0.2)
    odds = math.exp(-0.9) / (math.exp(-0.9) + math.exp(-0.6))
    assert (found.p_one, found.method) == (pytest.approx(odds), "logprobs")


def test_a_label_after_marks_is_read_from_its_own_token() -> None:
    marked = LLMReply(text="**1**", model="m", token_logprobs=(token("**"), token("1", **{"1": 0.3, "2": 0.1})))
    assert read_label(marked, "label")[:2] == (pytest.approx(0.75), "logprobs")


READABLE = [
    ("1", 1.0),
    (" 2\n", 0.0),
    ("1.", 1.0),
    ("**2**", 0.0),
    ('"1"', 1.0),
    ("Answer: 2", 0.0),
    ("Option 2", 0.0),
    ("The better one is 1.", 1.0),
    ("2\n\nBecause it is shorter than 1, which tells us what we know.", 0.0),
    ("The first repeats the sentence. The second has a turn.\n\n2", 0.0),
    ("It has 1 turn.\n**Final answer: 2**", 0.0),
    ('{"answer": 1}', 1.0),
    ("<answer>2</answer>", 0.0),
    ("\\boxed{2}", 0.0),
    ("Antwort: 2", 0.0),
    ("答案：2", 0.0),
    ("x" * 300 + "\n1", 1.0),
]


# Written otherwise: one text for each way, with the label 1.
WAYS = """
\uff11|1️⃣|①|❶|⑴|\u0661|\u06f1|१|๑|№ 1|text_1|Retelling 1|retelling #1|Joke 1.|Version 1
The first|First.|The first one.|the first retelling|1st|One.|1 (the first)|Text 1 (the first one)
Answer: the first|Answer: The first one.|I prefer the first.|The better one is the first.|Answer: 1 (first)
I would go with 1.|I'd choose retelling 1.|I'd rather pass on 1.|My vote goes to 1.|I select 1|It's 1.|Overall, 1.
Retelling 1 is better.|1 is the better joke.|Text 1 wins.|The first one is funnier.
\\boxed{\\text{1}}|\\(\\boxed{1}\\)
{"choice": "first"}|{"answer": 1, "reason": "2 is flat"}|{"reason": "2 is flat", "answer": 1}
答案：第一个|答案是第一个。|我选择1。|选1|第一个更好。|前者
答えは1です。|1番|一つ目|1번입니다|정답은 1입니다.|첫 번째
คำตอบคือ 1|ตัวเลือก: 1|الجواب: \u0661|الأول|उत्तर: 1|Die Antwort ist 1.|Ich wähle 1.|Der erste Text.|La réponse est 1.
Le premier|La respuesta es 1.|El primero|La risposta è 1.|A resposta é 1.|Ответ — 1|Первый вариант|Вариант 1
"""


@pytest.mark.parametrize("text", [way for line in WAYS.strip().splitlines() for way in line.split("|")])
@pytest.mark.parametrize("style", ["label", "reason"])
def test_a_label_is_known_however_it_is_written(text: str, style: LabelStyle) -> None:
    assert read_label(reply(text), style) == certain("1")
    assert read_label(reply(f"The other is flat.\n{text}"), style) == certain("1")


def test_a_first_line_that_announces_a_label_counts_where_the_label_comes_first() -> None:
    text = "**Answer: 2**\n\nThe second has a turn, the first has none."
    assert read_label(reply(text), "label") == certain("2")
    for other in (text.replace("Answer: 2", "Text 2:"), f"{text}\nAnswer: 1"):
        with pytest.raises(ReplyError):
            read_label(reply(other), "label")
    with pytest.raises(ReplyError):
        read_label(reply(text), "reason")


NOT_GIVEN = """
Worst: 1|Weaker: 1|Loser: 2|Score: 2|Humour score: 1|Rating: 1|Confidence: 1|Twists: 2|Second place: 1|Word count: 2
I would not choose 2.|I don't prefer 1|I can't choose 1|Never pick 1.
Not the first|Answer: not the first.|我不选择1|我不会选2
Is the answer 1?|Answer: 1?|1?|Answer: 1%|Answer: 1.5|1/2|1 > 2
first and second|the first or the second|at first.|The first is a joke.
The student wrote 『Answer: 1』|学生写了《答案：1》|答えは1ではありません
The second is the better one of|Text 1 is worse.|No 1
Better than the first|It is no better than the first
"""


@pytest.mark.parametrize("text", [way for line in NOT_GIVEN.strip().splitlines() for way in line.split("|")])
@pytest.mark.parametrize("style", ["label", "reason"])
def test_what_grades_denies_asks_or_quotes_gives_no_label(text: str, style: LabelStyle) -> None:
    with pytest.raises(ReplyError, match="names neither"):
        read_label(reply(text), style)


@pytest.mark.parametrize(
    "text", ["Answer: one", "**Answer:** One.", "My choice: one", "The second is flat.\nVerdict：one"]
)
def test_a_label_may_be_spelled_out_after_what_announces_it(text: str) -> None:
    assert read_label(reply(text), "reason") == certain("1")
    for none in ("I like the better one", "Neither: no one", "Score: one", "I choose this one."):
        with pytest.raises(ReplyError):
            read_label(reply(none), "reason")


def test_what_is_denied_before_the_answer_denies_no_answer() -> None:
    for text in ("Text 1 is not funny. Answer: 2", "It is not even close: I choose 2.", "Not funny, so I choose 2."):
        assert read_label(reply(text), "reason") == certain("2")


@pytest.mark.parametrize(("text", "p"), READABLE)
def test_without_probabilities_the_text_decides(text: str, p: float) -> None:
    assert read_label(reply(text), "label") == Label(p, "text")


def test_probabilities_of_neither_label_leave_it_to_the_text() -> None:
    assert read_label(reply("Option 2", Option=0.7, The=0.3), "label") == Label(0.0, "text", 0.0)
    assert read_label(reply("1", **{"1": 0, "2": 0}), "label") == Label(1.0, "text", 0.0)


UNREADABLE = [
    "",
    "Both are fine.",
    "It is between 1 and 2.",
    "12",
    "3",
    "I'm sorry, but I can't help with that.",
    "x" * 300 + " 1",
    "2: because it is shorter than 1",
    "The better one is 1, I think.",
    "Text 1 is too long, so the other.",
    "1. Text 1 has no turn.\n2. Text 2 has one.",
    "I prefer text 1 over text 2",
    "It is not as good as text 1.",
    "1\n2",
    "Answer: 1 or 2",
]


@pytest.mark.parametrize("text", UNREADABLE)
def test_a_reply_that_names_no_label_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ReplyError, match="names neither 1 nor 2"):
        read_label(reply(text), "label")


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "content_filter"])
def test_no_words_count_of_a_reply_that_was_cut_off(finish: str) -> None:
    for text in ("1. ", "1 is what", "Answer: 1", "The answer is 1"):
        with pytest.raises(ReplyError, match="it was cut off"):
            read_label(LLMReply(text=text, model="m", finish_reason=finish), "label")
    # A label that is all of it cannot be the beginning of anything but itself.
    assert read_label(LLMReply(text="1\n", model="m", finish_reason=finish), "label") == certain("1")


def test_a_list_that_was_cut_off_is_no_label_whatever_its_probability() -> None:
    begun = reply("1.", **{"1": 0.9, "2": 0.1})
    assert read_label(begun, "label").method == "logprobs"
    with pytest.raises(ReplyError, match="cut off"):
        read_label(begun.model_copy(update={"finish_reason": "length"}), "label")


# A label that comes after a reason

REASON = "The first has 2 jokes, the second 1.\nAnswer: 2"


def reasoned(label: TokenLogprob, text: str = REASON, *after: TokenLogprob) -> LLMReply:
    before = text[: text.rindex(label.token.strip())].rstrip(" ")
    words = [token(word + " ") for word in before.split(" ")]
    words[-1] = token(words[-1].token.rstrip(" "))
    return LLMReply(text=text, model="m", token_logprobs=(*words, label, *after))


def test_after_a_reason_the_answers_own_token_counts() -> None:
    answer = reasoned(token(" 2", _1=0.2, _2=0.6))
    assert answer.token_logprobs is not None
    assert "".join(t.token for t in answer.token_logprobs) == REASON
    assert read_label(answer, "reason")[:2] == (pytest.approx(0.25), "logprobs")


def test_numbers_before_the_answer_do_not_confuse_it() -> None:
    text = "It beats number 2 of last week.\nAnswer: 1"
    head = [token(piece, **{"1": 0.01, "2": 0.99}) for piece in ("It beats number", " 2", " of last week.\nAnswer:")]
    reasons = LLMReply(text=text, model="m", token_logprobs=(*head, token(" 1", _1=0.8, _2=0.2)))
    assert read_label(reasons, "reason").p_one == pytest.approx(0.8)


def test_tokens_that_do_not_tally_with_the_text_are_looked_through_from_the_end() -> None:
    tokens = (token("\\xf0\\x9f"), token("2", **{"1": 0.5, "2": 0.5}), token("2", **{"1": 0.1, "2": 0.9}))
    found = read_label(LLMReply(text="😀 2 jokes. Answer: 2", model="m", token_logprobs=tokens), "reason")
    assert found.p_one == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("text", "p"),
    [
        (REASON, 0.0),
        ("2 is longer. Answer: 1", 1.0),
        ("Answer: 1? No.\nAnswer: 2", 0.0),
        ("Short.\n**Answer:** 1", 1.0),
        ("Short.\n\n**Answer: 2**\n", 0.0),
        ("So the answer is 1.", 1.0),
        ("It has a turn.\n2", 0.0),
        ("1", 1.0),
    ],
)
def test_without_probabilities_the_last_answer_decides(text: str, p: float) -> None:
    assert read_label(reply(text), "reason") == Label(p, "text")


@pytest.mark.parametrize(
    "text",
    [
        *("", "1 is better because it has a turn and", "Answer:", "Answer: both", "Answer: 12"),
        'The student wrote "Answer: 1"',
        "Answer: 1 is what the student wants to be read",
        "Answer: 1\nThat is what text 2 ends with, and it is no joke.",
        "1\nIt has a turn.",
    ],
)
def test_a_reason_without_an_answer_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ReplyError, match="names neither"):
        read_label(reply(text), "reason")


def test_a_reason_that_was_cut_off_after_it_quoted_an_answer_is_none() -> None:
    text = "The first text is the student's own `Answer: 1`"
    for quoted in (text, f"{text}\nAnswer: 1", "Answer: 1"):
        with pytest.raises(ReplyError, match="cut off"):
            read_label(LLMReply(text=quoted, model="m", finish_reason="length"), "reason")
