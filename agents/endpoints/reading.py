"""What a raw reply says: its thought and its answer, told apart. The one reader of every reply of every role.

Models that think do so in tags before their answer, in tags of which the prompt's template has opened the first, in
channels, in a field of its own, or in parts of the content. Only the answer is ever read for a label, a text or a
critique; the thought is kept beside it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.records import TokenLogprob

THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Where servers put a thought beside the content; the first that holds words is taken."""

_THINKS = r"(?:[a-z]+[:_])?think(?:ing)?|thoughts?|reasoning|scratchpad|inner_monologue|analysis"
_OPENING = (
    rf"<(?:{_THINKS})>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|START_THINKING|think)\|>|<unused94>(?:thought\n)?"
)
_CLOSING = rf"</(?:{_THINKS})>|\[/THINK\]|◁/think▷|<\|(?:end_of_thought|END_THINKING|/think)\|>|<unused95>"
_TAG = re.compile(rf"(?P<opening>{_OPENING})|{_CLOSING}", re.IGNORECASE)
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)", re.DOTALL
)
"""gpt-oss: `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`."""
_BARE_CHANNELS = re.compile(r"\Aanalysis(?=[A-Z\s])(.*?)(?:assistant\s*final(.*)|\Z)", re.DOTALL)
"""The same where a server has taken the marks out and left the words."""
_WRAPPED = re.compile(
    r"\s*(?:<(answer|response|output|solution|final)>(?P<in>.*?)(?:</\1>\s*)?"
    r"|<\|(?:begin_of_solution|START_RESPONSE)\|>(?P<within>.*?)(?:<\|(?:end_of_solution|END_RESPONSE)\|>\s*)?)",
    re.DOTALL | re.IGNORECASE,
)
_ENDS = re.compile(
    r"(?:\s*(?:<\|(?:im_end|eot_id|eom_id|end|return|endoftext|end_of_text|END_OF_TURN_TOKEN)\|>"
    r"|</s>|<end_of_turn>|<eos>|\[/?INST\]))+\s*\Z"
)
_ALOUD = re.compile(
    r"\bthe (?:user|prompt|task) (?:wants?|asks?|is asking|gave|provided|says|has)\b"
    r"|\A\W*(?:(?:okay|ok|alright|all right|hmm+|so|first|well)\b[\s,.!-]*(?:so|let|i|we|the|now|first)\b"
    r"|let(?:'|’)?s (?:see|think|break|start|look|analy[sz]e)\b|let me (?:see|think|start|look|try|break|analy[sz]e)\b"
    r"|(?:we|i) (?:need|have|want) to (?:produce|write|answer|output|give|respond|decide|choose|compare|rewrite|retell"
    r"|judge|figure)\b|thinking process|好的，|嗯，)",
    re.IGNORECASE,
)
"""How models begin that think aloud."""
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
    said = _by_channels(text) or _by_tags(text)
    if not said.thought and cut_off and _ALOUD.search(text[:_HEAD]):
        return Said("", text.strip())
    answer = _ENDS.sub("", said.answer)
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
        field = _Parts(thinking=True)
        field.take(message.get(name))
        beside = beside or "".join(field.thought).strip()
    apart = "\n".join(filter(None, (beside, "".join(parts.thought).strip())))
    # A thought that came apart is whole: what is left needs no guess at whether it is one.
    said = read_text("".join(parts.answer), cut_off=cut_off and not apart)
    return Said(said.answer, "\n".join(filter(None, (apart, said.thought))))


def answer_tokens(tokens: Sequence[TokenLogprob], said: Said) -> tuple[TokenLogprob, ...]:
    """The tokens that spell an answer, of all that a reply has, in the spelling of plain text.

    A token that reaches over an edge of the answer is one of them. Where the tokens do not spell it, as where some
    write bytes out, they are those at its end that do, or all of them where nothing was thought.
    """
    plain = [token.model_copy(update={"token": spelled(token.token)}) for token in tokens]
    whole = "".join(token.token for token in plain)
    start = whole.rfind(said.answer) if said.answer else -1
    if start < 0:
        return _spelling_the_end(plain, said.answer) if said.thought else tuple(plain)
    end, found, place = start + len(said.answer), list[TokenLogprob](), 0
    for token in plain:
        before, place = place, place + len(token.token)
        if place > start and before < end:
            found.append(token)
    return tuple(found)


def _spelling_the_end(tokens: Sequence[TokenLogprob], answer: str) -> tuple[TokenLogprob, ...]:
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
    whole = _BYTE.fullmatch(token)
    if whole and (byte := int(whole.group(1), 16)) < 0x80:
        return chr(byte)
    return token.translate(_SPELLINGS)


def _by_channels(text: str) -> Said | None:
    if "<|channel|>" in text:
        spoken = list(_CHANNEL.finditer(text))
        answer = "".join(part.group(2) for part in spoken if part.group(1) == "final")
        thought = "\n".join(part.group(2).strip() for part in spoken if part.group(1) != "final")
        return Said(answer, thought or ("" if answer else text.strip()))
    bare = _BARE_CHANNELS.match(text)
    return Said((bare.group(2) or "").lstrip(), bare.group(1).strip()) if bare else None


def _by_tags(text: str) -> Said:
    answer, thought, place, within = list[str](), list[str](), 0, False
    for tag in _TAG.finditer(text):
        piece, place = text[place : tag.start()], tag.end()
        if within:
            thought.append(piece)
            within = tag["opening"] is not None
        elif tag["opening"]:
            answer.append(piece)
            within = True
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
                kind = str(part.get("type", "text"))
                thinks = thinking or "think" in kind or "reason" in kind
                if thinks or "text" in kind:
                    waiting += [(part[name], thinks) for name in _words_of(part)]
            elif isinstance(part, Iterable):
                waiting += [(item, thinking) for item in reversed(list(part))]


def _words_of(part: Mapping[Any, Any]) -> list[str]:
    """The key under which a part has its words."""
    names = ("text", "thinking", "reasoning", "content", "summary", "value")
    return [name for name in names if isinstance(part.get(name), str | list | Mapping)][:1]
