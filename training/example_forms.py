"""Training examples as people have them: tuples, rows with columns as trainers name them, conversations.

What is in no form that can be told for certain is refused with its place; nothing is guessed that could train on
something else than what was meant.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from ..core.errors import ConfigError
from ..core.records import Message, TrainingExample
from ..core.row_files import rows_given, unstorable

WANTED = (
    "(prompt, completion), (prompt, chosen, rejected) or (prompt, [best, …, worst]), or a row with the keys prompt and "
    "completion; prompt, chosen and rejected; prompt and completions; or messages"
)


def as_examples(given: Iterable[Any]) -> list[TrainingExample]:
    """Examples in any of their forms as records; a table of pandas' or datasets' is taken row by row.

    Raises:
        ConfigError: they are no several things, or one is in no form that `train` names.
    """
    return [as_example(one, place) for place, one in enumerate(rows_given(given, "examples", WANTED))]


def as_example(given: Any, place: int) -> TrainingExample:
    """A tuple of a prompt and its completions, or a row with such columns, as a record.

    Raises:
        ConfigError: it is in none of the forms that `train` names.
    """
    if isinstance(given, TrainingExample):
        return given
    where = f"example {place}"
    if isinstance(given, Mapping):
        prompt, completions = _of_row(given, where)
    elif isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"{where} is {given!r:.80}; make it {WANTED}")
    else:
        parts = list(given)
        if len(parts) < 2:
            raise ConfigError(f"{where} is {given!r:.80}; make it {WANTED}")
        prompt, completions = parts[0], _several(parts[1:])
    texts = tuple(_said(text, where) for text in completions)
    if not texts:
        raise ConfigError(f"{where} has no completion; make it {WANTED}")
    return TrainingExample(f"example-{place}", as_messages(prompt, where), texts)


def as_messages(prompt: Any, where: str = "prompt") -> tuple[Message, ...]:
    """A prompt as a conversation.

    Raises:
        ConfigError: it is neither a text nor a list of messages.
    """
    if isinstance(prompt, str):
        found: tuple[Message, ...] = (Message(role="user", content=prompt),)
    elif isinstance(prompt, Mapping):
        raise ConfigError(
            f"{where}: {prompt!r:.80} is a mapping, where a text or a conversation (a list of messages, each with role "
            "and content) was expected; put a single message into a list, and a conversation into a list of prompts"
        )
    elif not isinstance(prompt, Sequence) or isinstance(prompt, bytes):
        raise ConfigError(
            f"{where}: {prompt!r:.80} is a {type(prompt).__name__}, where a text or a list of messages was expected"
        )
    else:
        found = tuple(_message(message, where) for message in prompt)
        if not found:
            raise ConfigError(f"{where}: the conversation is empty; give it a message of the user's")
    for message in found:
        if spoilt := unstorable(message.content):
            raise ConfigError(f"{where}: {spoilt}")
    return found


def _message(given: Any, where: str) -> Message:
    try:
        return Message.model_validate(given)
    except ValidationError:
        raise ConfigError(
            f"{where}: {given!r:.80} is no message; one has a role (system, user or assistant) and content, a text"
        ) from None


def _several(completions: Sequence[Any]) -> Sequence[Any]:
    """The completions behind a prompt: they themselves, or the one list that holds them."""
    [first, *more] = completions
    if more or isinstance(first, str) or _is_conversation(first):
        return completions
    if not isinstance(first, Iterable) or isinstance(first, Mapping | bytes):
        return completions
    return list(first)


def _of_row(row: Mapping[str, Any], where: str) -> tuple[Any, Sequence[Any]]:
    """Prompt and completions of a row, by the columns that TRL and openmic's exports have."""
    if "label" in row and "completion" in row:
        raise ConfigError(
            f"{where} has a label, which says whether its completion is a good one; give prompt, chosen and rejected, "
            "or leave out what is not good, and the label"
        )
    if "chosen" in row and "rejected" in row:
        if "prompt" in row:
            return row["prompt"], [row["chosen"], row["rejected"]]
        return _shared_prompt(row["chosen"], row["rejected"], where)
    if "prompt" in row and "completion" in row:
        return row["prompt"], [row["completion"]]
    if "prompt" in row and "completions" in row:
        completions = row["completions"]
        if isinstance(completions, str | Mapping) or not isinstance(completions, Iterable):
            raise ConfigError(f"{where} has completions that are no list: {completions!r:.80}; make it {WANTED}")
        return row["prompt"], list(completions)
    if _is_conversation(row.get("messages")) and len(row["messages"]) > 1:
        *prompt, answer = row["messages"]
        return prompt, [[answer]]
    raise ConfigError(f"{where} has the keys {', '.join(map(str, row)) or 'none'}; make it {WANTED}")


def _shared_prompt(chosen: Any, rejected: Any, where: str) -> tuple[Any, list[Any]]:
    """The prompt that two conversations begin with, where none stands beside them."""
    if _is_conversation(chosen) and _is_conversation(rejected):
        (*before, better), (*also, worse) = list(chosen), list(rejected)
        if before and before == also:
            return before, [[better], [worse]]
    raise ConfigError(
        f"{where} has no prompt, and chosen and rejected do not begin with the same one; make it {WANTED}"
    )


def _said(given: Any, where: str) -> str:
    """A completion as a text: itself, or the one message of the assistant's that holds it."""
    text = given
    if _is_conversation(given):
        messages = [_message(message, where) for message in given]
        if len(messages) != 1 or messages[0].role != "assistant":
            raise ConfigError(f"{where}: the completion {given!r:.80} is not one message of the assistant's")
        text = messages[0].content
    if not isinstance(text, str):
        raise ConfigError(f"{where} has completions that are no texts: {given!r:.80}; make it {WANTED}")
    if spoilt := unstorable(text):
        raise ConfigError(f"{where}: {spoilt}")
    return str(text)


def _is_conversation(given: Any) -> bool:
    """Whether it is a list of messages; a list of texts is a ranking."""
    return (
        isinstance(given, Sequence)
        and not isinstance(given, str | bytes)
        and bool(given)
        and all(isinstance(message, Message | Mapping) for message in given)
    )
