"""One reader tells thought from answer, wherever a server has put the thought."""

import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmic.agents.endpoints import reading
from openmic.agents.endpoints.reading import Said, answer_tokens, read_message, read_text, spelled
from openmic.core.records import TokenLogprob

from ...properties import steady

THOUGHT = "Okay, the user wants jokes.\n1. A toast.\n2. Answer: 1"
TEXTS = [
    ("2", "2", ""),
    ("The toast filed for divorce.", "The toast filed for divorce.", ""),
    (f"<think>\n{THOUGHT}\n</think>\n\n2", "2", THOUGHT),
    (f"<thinking>{THOUGHT}</thinking>2", "2", THOUGHT),
    (f"<Thought>{THOUGHT}</Thought>2", "2", THOUGHT),
    (f"<reasoning>{THOUGHT}</reasoning>\n2", "2", THOUGHT),
    (f"<seed:think>{THOUGHT}</seed:think>2", "2", THOUGHT),
    (f"[THINK]{THOUGHT}[/THINK]2", "2", THOUGHT),
    (f"◁think▷{THOUGHT}◁/think▷2", "2", THOUGHT),
    (f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>2<|END_RESPONSE|>", "2", THOUGHT),
    (f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>\n<|begin_of_solution|>2<|end_of_solution|>", "2", THOUGHT),
    (f"<unused94>thought\n{THOUGHT}<unused95>2", "2", THOUGHT),
    (f"<think>{THOUGHT}</think><answer>2</answer>", "2", THOUGHT),
    (f"<think>{THOUGHT}</think>2<|im_end|>", "2", THOUGHT),
    # the prompt's template has opened the tag
    (f"{THOUGHT}\n</think>\n\n2", "2", THOUGHT),
    (f"{THOUGHT}[/THINK]2", "2", THOUGHT),
    ("one</think>two</think>3", "3", "one\ntwo"),
    # the answer is still to come
    ("<think>", "", ""),
    (f"<think>{THOUGHT}", "", THOUGHT),
    (f"[THINK]{THOUGHT}", "", THOUGHT),
    (f"{THOUGHT}</think>", "", THOUGHT),
    (f"<think>{THOUGHT}</think>\n", "", THOUGHT),
    # a tag within a thought
    ("<think>I write <think> and stop</think>2", "2", "I write\nand stop"),
    ("<think>a</think>The toast<think>b</think> left.", "The toast left.", "a\nb"),
    # channels
    (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>2<|return|>",
        "2",
        THOUGHT,
    ),
    (f"<|channel|>analysis<|message|>{THOUGHT}", "", THOUGHT),
    ("<|channel|>final<|message|>2", "2", ""),
    ("analysisWe need a label. Answer: 1?assistantfinal2", "2", "We need a label. Answer: 1?"),
    ("analysisWe need a label", "", "We need a label"),
    ("Analysis shows that the toast is done.", "Analysis shows that the toast is done.", ""),
    (f"assistantanalysis{THOUGHT}assistantfinal2", "2", THOUGHT),
    (f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|message|>2", "2", THOUGHT),
    (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final <|constrain|>json"
        "<|message|>2",
        "2",
        THOUGHT,
    ),
    # tags of whoever was told to use some
    *((f"<{tag}>{THOUGHT}</{tag}>\n2", "2", THOUGHT) for tag in ("antThinking", "reflection", "inner_thoughts", "cot")),
    *((f"<{tag}>{THOUGHT}</{tag}>\n2", "2", THOUGHT) for tag in ("plan", "rationale", "chain_of_thought", "reason")),
    *((f"[{tag}]{THOUGHT}[/{tag}]2", "2", THOUGHT) for tag in ("THINKING", "THOUGHT", "REASONING")),
    *((f"<|{tag}|>{THOUGHT}<|/{tag}|>2", "2", THOUGHT) for tag in ("thinking", "thought", "reasoning")),
    (f"<|begin_of_thinking|>{THOUGHT}<|end_of_thinking|>2", "2", THOUGHT),
    (f"<|think_start|>{THOUGHT}<|think_end|>2", "2", THOUGHT),
    (f"<|inner_prefix|>{THOUGHT}<|inner_suffix|>2", "2", THOUGHT),
    (f"<|channel>thought\n{THOUGHT}<channel|>2", "2", THOUGHT),
    (f'<think time="3">{THOUGHT}</think>2', "2", THOUGHT),
    (f"< think >{THOUGHT}</ think >2", "2", THOUGHT),
    (f"&lt;think&gt;{THOUGHT}&lt;/think&gt;2", "2", THOUGHT),
    ("<think/>2", "2", ""),
    # blocks
    (f"```thinking\n{THOUGHT}\n```\n2", "2", THOUGHT),
    (f"<details>\n<summary>Thought for 3 s</summary>\n{THOUGHT}\n</details>\n2", "2", THOUGHT),
    (f"<|im_start|>think\n{THOUGHT}\n<|im_start|>answer\n2", "2", THOUGHT),
    (f"Here is my thought process:\n{THOUGHT}\n\nHere is my response:\n2", "2", THOUGHT),
    (f"Thinking...\n{THOUGHT}\n...done thinking.\n\n2", "2", THOUGHT),
    ("```\nThinking is what my toast does.\n```", "```\nThinking is what my toast does.\n```", ""),
    ("The toast [thinking]: not again.", "The toast [thinking]: not again.", ""),
    # a template's marks, and what a model says after its turn
    *(
        (f"2{end}", "2", "")
        for end in ("<\uff5cend▁of▁sentence\uff5c>", "<|eot|>", "<|user|>", "<turn|>", "[EOS]", "<eot>")
    ),
    *(
        (f"{begin}2", "2", "")
        for begin in ("<s>", "<bos>", "<|im_start|>assistant\n", "<\uff5cAssistant\uff5c>", "[/INST] ")
    ),
    ("2<|im_end|>\n<|im_start|>user\nAnd now 1?", "2", ""),
    ("2</s>[INST] And 1? [/INST] 1", "2", ""),
    ("2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n1", "2", ""),
    ("My toast is <s>burned</s> bronzed.", "My toast is <s>burned</s> bronzed.", ""),
    ("<s>Burned</s> Bronzed.", "<s>Burned</s> Bronzed.", ""),
    ("<|begin_of_box|>2<|end_of_box|>", "2", ""),
    ("The answer is <|begin_of_box|>2<|end_of_box|>", "The answer is 2", ""),
    ("<final_answer>2</final_answer>", "2", ""),
]


@pytest.mark.parametrize(("text", "answer", "thought"), TEXTS)
def test_thought_and_answer_are_told_apart(text: str, answer: str, thought: str) -> None:
    assert read_text(text) == Said(answer, thought)


@pytest.mark.parametrize(("text", "answer", "thought"), TEXTS)
def test_an_answer_is_read_as_itself(text: str, answer: str, thought: str) -> None:
    assert read_text(answer) == Said(answer, "")


CUT = [
    ("Okay, the user wants funny retellings.\n1. First idea: make the toast a person.", True),
    ("Alright, let me think about this.", True),
    ("We need to produce three jokes. 1. Toast", True),
    ("Hmm, so I have two texts here.", True),
    ("We are given two retellings of a sentence.", True),
    ("Looking at these two texts, the fir", True),
    ("用户要求我写三个笑话。首先", True),
    ("首先，我需要理解这句话", True),
    ("The question is whether my toast will ever forgive", False),
    ("Thinking Process:\n\n1.  **Analyze the Request:**", True),
    ("1. Okay, said the toast, I am done.\n2. The us", False),
    ("1. I need to talk to my toaster.\n2. The", False),
    ("The reason is that the first has a turn. Answer: 1 is what the student wr", False),
    ("1", False),
]


@pytest.mark.parametrize(("text", "thinks"), CUT)
def test_a_text_that_was_cut_off_while_thinking_aloud_is_thought_alone(text: str, thinks: bool) -> None:
    assert read_text(text, cut_off=True) == (Said("", text) if thinks else Said(text, ""))
    assert read_text(text) == Said(text, "")


MESSAGES: list[tuple[dict[str, Any], Said]] = [
    ({"content": "2"}, Said("2", "")),
    ({"content": None}, Said("", "")),
    ({}, Said("", "")),
    ({"content": "2", "reasoning_content": "1?"}, Said("2", "1?")),
    ({"content": "2", "reasoning": "1?"}, Said("2", "1?")),
    ({"content": "2", "thinking": "1?"}, Said("2", "1?")),
    ({"content": "2", "reasoning_content": None, "reasoning": "1?"}, Said("2", "1?")),
    ({"content": "2", "reasoning_content": "1?", "reasoning": "1?"}, Said("2", "1?")),
    ({"content": "2", "reasoning_details": [{"type": "reasoning.text", "text": "1?"}]}, Said("2", "1?")),
    ({"content": None, "reasoning_content": "We need"}, Said("", "We need")),
    ({"content": "<think>b</think>2", "reasoning_content": "a"}, Said("2", "a\nb")),
    ({"content": [{"type": "text", "text": "2"}]}, Said("2", "")),
    ({"content": [{"type": "text", "text": "It is "}, {"type": "text", "text": "2"}]}, Said("It is 2", "")),
    ({"content": ["It is ", "2"]}, Said("It is 2", "")),
    (
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "1?"}]},
                {"type": "text", "text": "2"},
            ]
        },
        Said("2", "1?"),
    ),
    ({"content": [{"type": "thinking", "thinking": "1?"}, {"type": "output_text", "text": "2"}]}, Said("2", "1?")),
    ({"content": [{"type": "reasoning", "summary": [{"text": "1?"}]}, {"type": "text", "text": "2"}]}, Said("2", "1?")),
    ({"content": [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "2"}]}, Said("2", "")),
    ({"content": [{"type": "image_url", "image_url": {"url": "1"}}, {"type": "text", "text": "2"}]}, Said("2", "")),
    ({"content": [None, 7, {"type": None, "text": None}]}, Said("", "")),
    ({"content": 7}, Said("", "")),
    ({"content": "2", "thinking_blocks": [{"type": "thinking", "thinking": "1?"}]}, Said("2", "1?")),
    ({"content": "2", "thought": "1?"}, Said("2", "1?")),
    ({"content": [{"text": "1?", "thought": True}, {"text": "2"}]}, Said("2", "1?")),
    ({"content": [{"type": "text", "text": "1?", "thought": True}, {"type": "text", "text": "2"}]}, Said("2", "1?")),
    ({"content": [{"reasoningContent": {"reasoningText": {"text": "1?"}}}, {"text": "2"}]}, Said("2", "1?")),
    ({"content": {"parts": [{"text": "2"}], "role": "model"}}, Said("2", "")),
    ({"content": [{"type": "message", "content": [{"type": "output_text", "text": "2"}]}]}, Said("2", "")),
    ({"content": [{"type": "refusal", "refusal": "I'm sorry."}]}, Said("I'm sorry.", "")),
    ({"content": None, "refusal": "I'm sorry."}, Said("I'm sorry.", "")),
    ({"content": "2", "refusal": "I'm sorry."}, Said("2", "")),
]


@pytest.mark.parametrize(("message", "said"), MESSAGES)
def test_thoughts_are_found_wherever_servers_put_them(message: dict[str, Any], said: Said) -> None:
    assert read_message(message) == said


def test_what_is_cut_off_beside_a_thought_of_its_own_is_an_answer() -> None:
    message = {"content": "Okay, so the toast left me for a", "reasoning_content": "Hm."}
    assert read_message(message, cut_off=True).answer == message["content"]


PATTERNS: dict[str, re.Pattern[str]] = {
    name: one
    for name, one in vars(reading).items()
    if isinstance(one, re.Pattern) and name not in {"_MARKED", "_ALOUD", "_BYTE", "_OF_THOUGHT", "_OF_WORDS"}
}
PATTERNS |= {name: re.compile(vars(reading)[name], re.IGNORECASE) for name in ("_OPENING", "_CLOSING")}
"""All that is looked for in a text; a tag that is added is in one of them."""


@steady
@given(
    st.lists(st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "1", "Answer: 2", "\n", "a b"]), max_size=9)
)
def test_nothing_before_the_last_closing_tag_is_ever_read(pieces: list[str]) -> None:
    text = "".join(pieces)
    answer = read_text(text).answer
    assert answer in text or "think" in text.lower()
    assert "think" not in answer.lower()
    last = max(text.rfind("</think>"), text.rfind("[/THINK]"))
    unopened = max(text.rfind("<think>", 0, max(last, 0)), text.rfind("[THINK]", 0, max(last, 0))) < 0 <= last
    if unopened:
        assert answer.strip() in text[last:]


@pytest.mark.parametrize("name", PATTERNS)
@settings(steady, max_examples=150)
@given(st.data())
def test_what_has_no_sign_of_a_tag_is_read_as_it_is_where_tags_are_looked_for(name: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(PATTERNS[name], fullmatch=True)) + data.draw(st.text("ab 1\n", max_size=3))
    cut_off = data.draw(st.booleans())
    said = read_text(text, cut_off=cut_off)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_MARKED", re.compile(""))
        assert read_text(text, cut_off=cut_off) == said


# Tokens


def tokens(*texts: str) -> list[TokenLogprob]:
    return [TokenLogprob(token=text, logprob=-0.1) for text in texts]


SPELT = [
    (("1",), Said("1", ""), ["1"]),
    (("\u01201",), Said(" 1", ""), [" 1"]),
    (("▁1",), Said("1", ""), [" 1"]),
    (("<think>", "1", "?", "</think>", "\n\n", "2"), Said("2", "1?"), ["2"]),
    (("1", "?", "</think>", "\u010a\u010a", "2", "<|im_end|>"), Said("2", "1?"), ["2"]),
    (("1", "?", " 2"), Said("2", "1?"), [" 2"]),  # a thought in a field of its own, its tokens before the answer's
    (("Answer", ":", " 1", "</think>", "Answer", ":", " 2"), Said("Answer: 2", "Answer: 1"), ["Answer", ":", " 2"]),
    (("\\xf0", "\\x9f", "2"), Said("😀2", ""), ["\\xf0", "\\x9f", "2"]),
    (("1", "</think>", "\\xf0", "\\x9f", ": ", "2", "</s>"), Said("😀: 2", "1"), [": ", "2"]),
    (("1", "?"), Said("", "1?"), []),
    (("2", "<|im_end|>", "\n", "2"), Said("2", ""), ["2"]),  # and on it goes
]


@pytest.mark.parametrize(("given_", "said", "kept"), SPELT)
def test_the_tokens_of_an_answer_are_told_from_those_of_a_thought(
    given_: tuple[str, ...], said: Said, kept: list[str]
) -> None:
    assert [token.token for token in answer_tokens(tokens(*given_), said)] == kept


@pytest.mark.parametrize(
    ("token", "text"),
    [("\u01201", " 1"), ("▁2", " 2"), ("\u010a", "\n"), ("<0x31>", "1"), ("<0xF0>", "<0xF0>"), ("1", "1")],
)
def test_a_vocabularys_spelling_is_read_as_text(token: str, text: str) -> None:
    assert spelled(token) == text


def test_alternatives_stay_with_their_token() -> None:
    token = TokenLogprob(token="\u01201", logprob=-0.9, alternatives={"\u01201": -0.9, "\u01202": math.log(0.5)})
    assert answer_tokens([token], Said(" 1", ""))[0].alternatives == token.alternatives
