"""What the student was asked, put together again from the prompts in the store.

The store keeps of a student's prompt the templates and the hash of the exact messages. What is put together here is
checked against such a hash, so an export holds the very prompts that the student was trained and asked with.
"""

from collections.abc import Iterable
from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from sqlalchemy import select
from sqlmodel import col

from ...core.errors import StoreError
from ...core.ids import content_hash
from ...core.records import Agent, TurnKind
from ..reading import Reader
from ..tables.transcript import Dialogue, ExampleRow, PromptTemplateRow, Run, Turn

Messages = list[dict[str, str]]


class StudentPrompts:
    """The student's prompts in a run.

    Raises:
        StoreError: The store does not say how the student is asked.
    """

    def __init__(self, reader: Reader, run: Run) -> None:
        environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        system, draft = _templates(reader, run)
        self._system, self._draft = (environment.from_string(template.text) for template in (system, draft))

    def prompt(self, text: str) -> Messages:
        """What the student is asked about an input."""
        system, user = self._system.render().strip(), self._draft.render(input=text).strip()
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def said(text: str) -> Messages:
    """An answer."""
    return [{"role": "assistant", "content": text}]


def _templates(reader: Reader, run: Run) -> tuple[PromptTemplateRow, PromptTemplateRow]:
    known = reader.select(PromptTemplateRow, role="student", purpose=["system", "draft"])
    asked = _draft_of(reader, run)
    pairs = [
        (system, draft)
        for draft in known
        for system in known
        if (draft.purpose, system.purpose) == ("draft", "system") and draft.task == system.task == run.task
    ]
    if asked is not None:
        turn, text = asked
        pairs = [pair for pair in pairs if pair[1].hash == turn.template_hash and _asks(pair, text, turn)]
    if len(pairs) != 1:
        raise StoreError(
            f"the store {reader.url!r} does not say how the student of run {run.id} is asked: "
            f"{'more than one' if pairs else 'no'} prompt of task {run.task!r} fits; `--format transcript` needs none"
        )
    return pairs[0]


def _draft_of(reader: Reader, run: Run) -> tuple[Turn, str] | None:
    """A draft that the student wrote in a run, or in the one it goes back to, with its input."""
    for run_id in _back_from(reader, run):
        statement = (
            select(Turn, col(ExampleRow.text))
            .join(Dialogue, col(Turn.dialogue_id) == col(Dialogue.id))
            .join(ExampleRow, col(Dialogue.example_id) == col(ExampleRow.id))
            .where(
                col(Dialogue.run_id) == run_id,
                col(Turn.run_id) == run_id,
                col(Turn.agent) == Agent.STUDENT,
                col(Turn.kind) == TurnKind.DRAFT,
            )
            .limit(1)
        )
        for turn, text in reader.rows(statement):
            return turn, text
    return None


def _back_from(reader: Reader, run: Run) -> Iterable[str]:
    current: Run | None = run
    while current is not None:
        yield current.id
        current = reader.get(Run, current.source_run_id) if current.source_run_id is not None else None


def _asks(pair: tuple[PromptTemplateRow, PromptTemplateRow], text: str, turn: Turn) -> bool:
    environment: Any = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    system, user = (
        environment.from_string(template.text).render(**values).strip()
        for template, values in zip(pair, ({}, {"input": text}), strict=True)
    )
    messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    return content_hash(messages) == turn.prompt_hash
