"""A task: what is to be learned. It renders the prompts of each role, and says what of a reply is an output.

Tasks are files (`task_file.py`); nothing here knows any one of them.
"""

import re
from typing import Any

from ...core.ids import content_hash
from ...core.records import Message
from .gates import Problem, first_problem
from .prompt_check import check_prompts
from .prompts import Prompts, PromptTemplate
from .task_file import TaskFile, read_task_file, task_source

__all__ = ["PromptTemplate", "Task", "load_task"]

_AROUND = (
    *(("**", "**"), ("*", "*"), ('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’")),
    *(("„", "“"), ("«", "»"), ("»", "«"), ("「", "」"), ("『", "』"), ("＂", "＂")),
)
_APOSTROPHES = ("'", "’")
_ITEM = r"(?:\(?\d{1,2}[.):]|[-*•])(?:\s+|$)|（?\d{1,2}[、．）：](?!\d)\s*"
"""What stands before an item of a list; of the marks, those of East Asian scripts have no space after them."""
_REFUSAL = re.compile(
    r"i(?:'|’)?m sorry|sorry, (?:but )?i\b|as an ai\b|i(?:'|’)?m unable"
    # "I can't" alone begins many a first-person sentence, and "Sorry," many a notice in plain words.
    r"|i can(?:no|'|’)t (?:help (?:you|with)|assist|comply|fulfil|provide|do th|write|create|generate|retell|rewrite)",
    re.IGNORECASE,
)


class Task:
    """A task that can render its prompts and clean outputs."""

    def __init__(self, file: TaskFile) -> None:
        self.file = file
        self.name = file.name
        self.hash = content_hash(file.model_dump())
        self.prompts = Prompts(file)

    def template(self, role: str, purpose: str) -> PromptTemplate:
        """The prompt of that role for that purpose.

        Raises:
            TaskError: the task has no such prompt.
        """
        return self.prompts.template(role, purpose)

    def templates(self) -> list[PromptTemplate]:
        """Every prompt of the task."""
        return self.prompts.all()

    def render(self, role: str, purpose: str, **values: Any) -> tuple[Message, Message]:
        """System and user message of a prompt.

        Raises:
            TaskError: the task has no such prompt, or the prompt asks for a value that is not there.
        """
        return self.prompts.render(role, purpose, **values)

    def clean(self, text: str) -> str:
        """The output in a model's reply: a number or bullet before it and marks around it are no part of it."""
        text = text.strip()
        if self.file.cleaning.first_line_only:
            text = next((line.strip() for line in text.splitlines() if line.strip()), "")
        text = re.sub(f"^(?:{_ITEM})", "", text)
        if self.file.cleaning.strip_quotes:
            text = _unwrapped(text)
        return re.sub(r"[\s\0]+", " ", text).strip()  # no database has text with a NUL in it

    def problem(self, text: str, source: str, *, cut_off: bool = False) -> Problem | None:
        """Why a cleaned output is no answer to `source` (the gates' words), or None.

        `cut_off` says that it ended at the most tokens and not by itself.
        """
        return first_problem(text, source, self.file.validity, cut_off=cut_off)

    def refused(self, text: str) -> bool:
        """Whether a large model declined instead of answering."""
        return not text or bool(_REFUSAL.match(text))

    def numbered_list(self, text: str, count: int) -> list[str]:
        """The outputs of a reply that was asked for `count` of them, cleaned; fewer if the model wrote fewer."""
        lines = [line for line in text.splitlines() if line.strip()]
        numbered = [line for line in lines if re.match(rf"\s*(?:{_ITEM})", line)]
        return [output for line in numbered or lines if (output := self.clean(line))][:count]


def _unwrapped(text: str) -> str:
    """The text without emphasis and quotes around the whole of it; quotes that open and close within it stay."""
    for before, after in _AROUND:
        inner = text.removeprefix(before).removesuffix(after)
        if len(text) - len(inner) != len(before + after):
            continue
        quoted_within = f" {before}" in inner if after in _APOSTROPHES else before in inner or after in inner
        if not quoted_within:
            text = inner.strip()
    return text


def load_task(name: str) -> Task:
    """A task by the name of one that ships, or by its file.

    Raises:
        TaskError: there is no such task, the file is malformed, or a prompt cannot do its work.
    """
    task = Task(read_task_file(task_source(name)))
    check_prompts(task.prompts)
    return task
