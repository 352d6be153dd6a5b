"""A conversation in the words of a student's chat template, whatever the template refuses or adds.

Some templates refuse a system message (Gemma's, Mistral's), others leave it out silently: it then goes into the
user's turn. Models that think are told not to, since a draft has no room for it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import StudentError
from ...core.records import Message

NO_THOUGHTS: Mapping[str, Any] = {"enable_thinking": False, "thinking": False}
"""What templates of models that think call it; a template passes over what it does not know."""
_OPENED = re.compile(r"(<([\w:|-]*(?:think|thinking|thought|reasoning))>|\[THINK\])\s*\Z", re.IGNORECASE)
"""How a prompt ends whose template has the model begin with a thought, whatever it is told."""


def render_conversation(
    tokenizer: Any, messages: Sequence[Message], kwargs: Mapping[str, Any] | None = None, *, name: str = "the student"
) -> str:
    """The text of a conversation that waits for the student to speak.

    Args:
        tokenizer: One with a chat template.
        messages: The conversation.
        kwargs: What the template is given besides, over `NO_THOUGHTS`.
        name: The student's, for errors.

    Raises:
        StudentError: the template refuses the conversation, with and without a system message.
    """
    given = {**NO_THOUGHTS, **(kwargs or {})}
    merged = without_system(messages)
    try:
        text = _applied(tokenizer, messages, given)
        if merged != list(messages) and not _holds(text, messages):
            text = _applied(tokenizer, merged, given)
    except Exception as refused:  # a template is a program, and raises what it likes
        try:
            text = _applied(tokenizer, merged, given)
        except Exception as error:
            raise StudentError(
                f"the chat template of {name!r} does not render a conversation ({_words(error)}); take another "
                "student.model, mend its chat_template, or set student.chat_template_kwargs"
            ) from refused
    opened = _OPENED.search(text)
    if opened is not None and not any(bool(given[each]) for each in NO_THOUGHTS):
        end = "[/THINK]" if opened[2] is None else f"</{opened[2]}>"
        return f"{text[: opened.end(1)]}\n\n{end}\n\n"
    return text


def merges_system(tokenizer: Any, kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether a chat template has no place for a system message, so that it goes into the user's turn."""
    given = {**NO_THOUGHTS, **(kwargs or {})}
    talk = [Message(role="system", content="Sphinx of black quartz"), Message(role="user", content="Judge my vow.")]
    try:
        return not _holds(_applied(tokenizer, talk, given), talk)
    except Exception:  # as above
        return True


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The conversation with what system messages say at the beginning of the user's first turn."""
    said = [message.content for message in messages if message.role == "system" and message.content.strip()]
    rest = [message for message in messages if message.role != "system"]
    if not said:
        return rest
    if not rest or rest[0].role != "user":
        return [Message(role="user", content="\n\n".join(said)), *rest]
    return [Message(role="user", content="\n\n".join([*said, rest[0].content])), *rest[1:]]


def end_in_template(tokenizer: Any, kwargs: Mapping[str, Any] | None = None) -> str:
    """What a chat template writes behind an assistant's words; empty where that cannot be told."""
    words = "Sphinx of black quartz"
    talk = [Message(role="user", content="Say it."), Message(role="assistant", content=words)]
    try:
        text = _applied(tokenizer, talk, {**NO_THOUGHTS, **(kwargs or {})}, waits=False)
    except Exception:  # as above; `render_conversation` says so where it matters
        return ""
    return str(text.rpartition(words)[2]).lstrip()


def _applied(tokenizer: Any, messages: Sequence[Message], kwargs: Mapping[str, Any], *, waits: bool = True) -> str:
    talk = [message.model_dump() for message in messages]
    return str(tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=waits, **kwargs))


def _holds(text: str, messages: Sequence[Message]) -> bool:
    return all(message.content.strip() in text for message in messages if message.role == "system")


def _words(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
