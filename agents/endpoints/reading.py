"""What a raw reply says: its thought and its answer, told apart. The one reader of every reply of every role.

Models that think do so in tags before their answer, in tags of which the prompt's template has opened the first, in
channels, in a field of its own, or in parts of the content. Only the answer is ever read for a label, a text or a
critique; the thought is kept beside it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.records import TokenLogprob

THOUGHT_FIELDS = (
    *("reasoning_content", "reasoning", "thinking", "reasoning_details", "thought", "thoughts", "reasoning_text"),
    "thinking_blocks",
)
"""Where servers put a thought beside the content; the first that holds words is taken."""

_WORDS_OF_THOUGHT = r"think(?:ing)?|thoughts?|reason(?:ing)?"
_THINKS = (
    rf"(?:[a-z]+[:_]?)?think(?:ing)?(?:_process)?|(?:inner_|internal_)?(?:{_WORDS_OF_THOUGHT}|monologue)"
    r"|thought_process|chain_of_thought|cot|scratchpad|reflection|analysis|deliberation|plan(?:ning)?|rationale"
    r"|brainstorm(?:ing)?"
)
_LESS, _MORE = r"(?:<|&lt;)\s*", r"\s*(?:>|&gt;)"
_OPENING = (
    rf"{_LESS}(?:{_THINKS})(?:\s[^<>/]*)?{_MORE}|\[THINK\]|(?-i:\[(?:THINKING|THOUGHTS?|REASONING)\])|◁think▷"
    rf"|<[|\uff5c](?:begin_of_|start_)?(?:{_WORDS_OF_THOUGHT})(?:_start)?[|\uff5c]>|<\|inner_prefix\|>"
    r"|<\|channel>(?:thought|analysis)\n?|<unused94>(?:thought\n)?"
)
_CLOSING = (
    rf"{_LESS}/\s*(?:{_THINKS}){_MORE}|\[/THINK\]|(?-i:\[/(?:THINKING|THOUGHTS?|REASONING)\])|◁/think▷"
    rf"|<[|\uff5c](?:(?:end_of_|end_|/)(?:{_WORDS_OF_THOUGHT})|(?:{_WORDS_OF_THOUGHT})_end)[|\uff5c]>|<\|inner_suffix\|>"
    r"|<channel\|>|<unused95>"
)
_TAG = re.compile(rf"{_LESS}(?:{_THINKS})\s*/{_MORE}|(?P<opening>{_OPENING})|(?P<closing>{_CLOSING})", re.IGNORECASE)
_BLOCK = re.compile(
    r"\A\s*(?:"
    r"```(?:think(?:ing)?|thoughts?|reasoning)[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)"
    r"|<details(?:\s[^<>]*)?>\s*<summary>[^<]*(?:thought|think|reason)[^<]*</summary>(.*?)(?:</details>|\Z)"
    r"|<\|im_start\|>\s*think\b(.*?)(?:<\|im_start\|>\s*answer\b|\Z)"
    r"|Here(?:'|’| i)s my thought process:(.*?)(?:Here(?:'|’| i)s my response:|\Z)"
    r"|Thinking\.\.\.[ \t]*\n(.*?)\n\.\.\.done thinking\."
    r")",
    re.DOTALL | re.IGNORECASE,
)
"""A thought that stands first in a block of another kind than tags."""
_CHANNEL = re.compile(
    r"(?:<\|channel\|>\s*(\w+)(?:[^<]|<\|constrain\|>)*|<\|start\|>\s*assistant\s*)<\|message\|>"
    r"(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
"""gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`."""
_BARE_CHANNELS = re.compile(r"\A(?:assistant)?analysis(?=[A-Z\s])(.*?)(?:assistant\s*final(.*)|\Z)", re.DOTALL)
"""The same where a server has taken the marks out and left the words."""
_WRAPPED = re.compile(
    r"\s*(?:<((?:final_)?answer|response|reply|output|result|solution|final)>(?P<in>.*?)(?:</\1>\s*)?"
    r"|<\|(?:begin_of_solution|START_RESPONSE)\|>(?P<within>.*?)(?:<\|(?:end_of_solution|END_RESPONSE)\|>\s*)?)",
    re.DOTALL | re.IGNORECASE,
)
_MARKS = re.compile(r"<\|(?:begin|end)_of_box\|>")
"""What a model lays around its last word."""
_BEGINS = re.compile(
    r"\A(?:\s*(?:<s>(?!.*</s>\s*\w)|<bos>|\[/INST\]|<[|\uff5c](?:begin_of_text|begin▁of▁sentence|assistant)[|\uff5c]>"
    r"|<\|im_start\|>\s*assistant(?:<\|im_sep\|>|\s)|<\|start_header_id\|>\s*assistant\s*<\|end_header_id\|>"
    r"|<start_of_turn>\s*model\b))+\s*",
    re.DOTALL | re.IGNORECASE,
)
"""How a template begins a model's turn."""
_END = (
    r"<[|\uff5c](?:im_end|im_start|im_sep|eot_id|eom_id|eot|eos|end|return|stop|endoftext|end_of_text|end_of_msg|user"
    r"|end[▁_]of[▁_]sentence|end_?of_?turn(?:_token)?|endofassistant|endofresponse|start_header_id)[|\uff5c]>"
    r"|<end_of_turn>|<start_of_turn>|<end_of_utterance>|<turn\|>|<eo[st]>|\[EOS\]|\[e~\[|\[INST\]|</s>(?=\s*(?:<s>|\[INST\]))"
)
_ENDS = re.compile(rf"(?<!\s)\s*(?:(?:{_END}).*\Z|(?:(?:{_END}|</s>|\[/INST\])\s*)+\Z)", re.DOTALL | re.IGNORECASE)
"""A turn's end, and whatever follows it: a model that goes on speaks for others."""
_ALOUD = re.compile(
    r"\bthe (?:(?:user|prompt|task|question) (?:wants?|asks?|is asking|gave|provided|says|has)|user is)\b"
    r"|\A\W*(?:(?:okay|ok|alright|all right|hmm+|so|first|well|got it)\b[\s,.!-]*(?:so|let|i|we|the|now|first|two)\b"
    r"|(?:let(?:'|’)?s|let me) (?:see|think|break|start|look|try|analy[sz]e|compare)\b"
    r"|(?:we|i) (?:need|have|want) to (?:produce|write|answer|output|give|respond|decide|choose|compare|rewrite|retell"
    r"|judge|figure)\b|(?:we|i)(?:(?:'|’)re| are|(?:'|’)m| am) (?:given|asked|comparing|looking at)\b"
    r"|(?:we have )?two (?:retellings|versions|texts|options)\b|(?:here(?:'|’| i)s (?:a|my) )?thinking\b|analy[sz]ing\b"
    r"|looking at (?:these|the|this|both)\b"
    r"|好的，|嗯，|首先，我|用户(?:想|要|希望|让|需要|给)|我们需要|ユーザーは|der (?:nutzer|user) (?:will|möchte)\b)",
    re.IGNORECASE,
)
"""How models begin that think aloud."""
_MARKED = re.compile(r"[<\[&`◁]|\A\s*(?:Here|Thinking|(?:assistant)?analysis)", re.IGNORECASE)
"""What all of the above but thinking aloud has in it: a text without it is an answer, and not looked at further."""
_HEAD = 240
_SPELLINGS = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n", "ĉ": "\t", "č": "\r"})
"""How byte-level and SentencePiece vocabularies write white space, which some servers pass on."""
_BYTE = re.compile(r"<0x([0-9A-F]{2})>", re.IGNORECASE)


class Said(NamedTuple):
    """A reply, taken apart."""

    answer: str
    """What is read; empty where the reply is thought alone."""
    thought: str
    """What the model said to itself; empty where it said nothing."""


def read_text(text: str, *, cut_off: bool = False) -> Said:
    """The thought and the answer in one text.

    What stands between an opening and a closing tag is thought, as is everything before a closing one that was never
    opened, and everything after an opening one that is never closed.

    Args:
        text: What a model wrote.
        cut_off: Whether it ended at the most tokens. Such a text without any tag that begins as a model that thinks
            aloud does is thought alone: the closing tag was still to come.
    """
    if not _MARKED.search(text):
        return Said("", text.strip()) if cut_off and _ALOUD.search(text[:_HEAD]) else Said(text, "")
    said = _by_channels(text) or _by_block(text) or _by_tags(text)
    if not said.thought and cut_off and _ALOUD.search(text[:_HEAD]):
        return Said("", text.strip())
    answer = _MARKS.sub("", _ENDS.sub("", _BEGINS.sub("", said.answer), count=1))
    wrapped = _WRAPPED.fullmatch(answer)
    if wrapped:
        answer = wrapped["in"] or wrapped["within"] or ""
    return Said(answer.lstrip() if said.thought or wrapped else answer, said.thought)


def read_message(message: Mapping[str, Any], *, cut_off: bool = False) -> Said:
    """The thought and the answer in a chat completion's message, wherever its server has put them."""
    parts = _Parts()
    parts.take(message.get("content"))
    beside = ""
    for name in THOUGHT_FIELDS:
        if message.get(name) is None:
            continue
        field = _Parts(thinking=True)
        field.take(message.get(name))
        beside = beside or "".join(field.thought).strip()
    apart = "\n".join(filter(None, (beside, "".join(parts.thought).strip())))
    # A thought that came apart is whole: what is left needs no guess at whether it is one.
    words = "".join(parts.answer)
    said = read_text(words if words.strip() else refused_with(message), cut_off=cut_off and not apart)
    return Said(said.answer, "\n".join(filter(None, (apart, said.thought))))


def refused_with(message: Mapping[str, Any]) -> str:
    """The words with which a model declines in a field of their own, where they are all that it says."""
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) and not message.get("content") else ""


def answer_tokens(tokens: Sequence[TokenLogprob], said: Said) -> tuple[TokenLogprob, ...]:
    """The tokens that spell an answer, of all that a reply has, in the spelling of plain text.

    A token that reaches over an edge of the answer is one of them. Where the tokens do not spell it, as where some
    write bytes out, they are those at its end that do, or all of them where nothing was thought.
    """
    plain = [
        token if (plainly := spelled(token.token)) == token.token else token.model_copy(update={"token": plainly})
        for token in tokens
    ]
    whole = "".join(token.token for token in plain)
    # What a model says after its turn may hold the answer's words again, and so may a thought before it.
    start = (whole.rfind if said.thought else whole.find)(said.answer) if said.answer else -1
    if start < 0:
        return _spelling_the_end(plain, said.answer) if said.thought else tuple(plain)
    end, found, place = start + len(said.answer), list[TokenLogprob](), 0
    for token in plain:
        before, place = place, place + len(token.token)
        if place > start and before < end:
            found.append(token)
    return tuple(found)


def _spelling_the_end(tokens: Sequence[TokenLogprob], answer: str) -> tuple[TokenLogprob, ...]:
    """The last tokens that spell the end of an answer, as far back as they do.

    White space and ends of turns are left out. Where a token before them is spelled otherwise in the text, those behind
    it are all that is had.
    """
    found, tail = list[TokenLogprob](), ""
    for token in reversed(tokens):
        if not tail and (not token.token.strip() or _ENDS.fullmatch(token.token)):
            continue
        if not answer.rstrip().endswith(token.token + tail):
            break
        tail = token.token + tail
        found.append(token)
    return tuple(reversed(found))


def spelled(token: str) -> str:
    """A token as the text it stands for, where a server writes it as its vocabulary does: `Ġ1`, `▁1`, `<0x31>`."""
    if token.isascii() and token[:1] != "<":
        return token
    whole = _BYTE.fullmatch(token)
    if whole and (byte := int(whole.group(1), 16)) < 0x80:
        return chr(byte)
    return token.translate(_SPELLINGS)


def _by_channels(text: str) -> Said | None:
    if "<|channel|>" in text:
        spoken = list(_CHANNEL.finditer(text))
        final = [part.group(1) in {None, "final"} for part in spoken]
        answer = "".join(part.group(2) for part, counts in zip(spoken, final, strict=True) if counts)
        thought = "\n".join(part.group(2).strip() for part, counts in zip(spoken, final, strict=True) if not counts)
        return Said(answer, thought or ("" if answer else text.strip()))
    bare = _BARE_CHANNELS.match(text)
    return Said((bare.group(2) or "").lstrip(), bare.group(1).strip()) if bare else None


def _by_block(text: str) -> Said | None:
    block = _BLOCK.match(text)
    if block is None:
        return None
    rest = _by_tags(text[block.end() :])
    first = next(group for group in block.groups() if group is not None).strip()
    return Said(rest.answer, "\n".join(filter(None, (first, rest.thought))))


def _by_tags(text: str) -> Said:
    answer, thought, place, within = list[str](), list[str](), 0, False
    for tag in _TAG.finditer(text):
        piece, place = text[place : tag.start()], tag.end()
        if within:
            thought.append(piece)
            within = tag["closing"] is None
        elif tag["opening"]:
            answer.append(piece)
            within = True
        elif not tag["closing"]:  # opened and closed in one
            answer.append(piece)
        else:  # opened by the prompt's template: all before it was thought
            thought += [*answer, piece]
            answer = []
    (thought if within else answer).append(text[place:])
    return Said("".join(answer), "\n".join(piece.strip() for piece in thought if piece.strip()))


class _Parts:
    """Gathers the texts of a content that comes in parts."""

    def __init__(self, *, thinking: bool = False) -> None:
        self.answer, self.thought, self._thinking = list[str](), list[str](), thinking

    def take(self, content: object) -> None:
        """Words in a text, a part or a list of parts; what holds none is passed over."""
        waiting: list[tuple[object, bool]] = [(content, self._thinking)]
        while waiting:
            part, thinking = waiting.pop()
            if isinstance(part, str):
                (self.thought if thinking else self.answer).append(part)
            elif isinstance(part, Mapping):
                kind, names = str(part.get("type", "text")), _words_of(part)
                thinks = thinking or part.get("thought") is True or any(map(_OF_THOUGHT.search, (kind, *names)))
                if thinks or _OF_WORDS.search(kind):
                    waiting += [(part[name], thinks) for name in names]
            elif isinstance(part, Iterable):
                waiting += [(item, thinking) for item in reversed(list(part))]


_OF_THOUGHT, _OF_WORDS = re.compile(r"think|reason"), re.compile(r"text|refusal|message")


def _words_of(part: Mapping[Any, Any]) -> list[str]:
    """The key under which a part has its words, alone in a list; none where it has no words."""
    names = (
        *("text", "thinking", "reasoning", "reasoning_content", "reasoningContent", "reasoningText", "content"),
        *("parts", "summary", "value", "refusal"),
    )
    return [name for name in names if isinstance(part.get(name), str | list | Mapping)][:1]
