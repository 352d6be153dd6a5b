"""What a request under a task's own address means: an input, which the task's prompts are put around."""

import json
from collections.abc import Sequence

from ...agents.tasks.task import Task
from ...core.errors import TaskError
from ...core.records import Input, Message
from .protocol import RequestError


def asked_of_task(task: Task, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation that the student is asked in, as in its training.

    Args:
        task: Whose prompts.
        messages: One of the user's, which is the input; or that, the student's draft, and a suggestion, which asks for
            a revision. An input of several fields is a JSON object.

    Raises:
        RequestError: they are anything else, or the input lacks a field.
    """
    roles = [message.role for message in messages]
    if roles not in (["user"], ["user", "assistant", "user"]):
        told = ", ".join(roles)
        raise RequestError(
            f"task {task.name} has its own system prompt and takes one input (user), or an input, a draft and a "
            f"suggestion (user, assistant, user), not: {told}; send any other conversation to /v1/chat/completions",
            param="messages",
        )
    try:
        source = _input(task, messages[0].content)
        first = task.render("student", "draft", input=source)
        if len(messages) == 1:
            return first
        revise = task.render("student", "revise", input=source, suggestion=messages[2].content)
    except TaskError as error:
        raise RequestError(str(error), param="messages.0.content") from None
    return (*first, messages[1], revise[-1])


def _input(task: Task, text: str) -> Input:
    fields = task.file.inputs
    if len(fields) < 2:
        return text
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise RequestError(
            f"an input of task {task.name} is a JSON object of texts with {', '.join(fields)}",
            param="messages.0.content",
        )
    return given
