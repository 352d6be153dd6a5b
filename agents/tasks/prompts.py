"""The prompts of a task, and rendering them.

A prompt is a Jinja template. In those of teacher, critic and judge every value is data: what would open or close a tag
is escaped, so no text gets out of the tag it stands in, and `unescape` gives back the text as it was. A value is never
run as a template; what a template may take of time and room is bounded. The student's prompts hold texts as they are:
it is trained on exactly these.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2 import DictLoader, StrictUndefined, TemplateError, UndefinedError, meta

from ...core.errors import TaskError
from ...core.ids import content_hash
from ...core.records import Message
from .bounded import BoundedEnvironment, render
from .task_file import TaskFile

ROLES = ("student", "teacher", "critic", "judge")


@dataclass(frozen=True)
class PromptTemplate:
    """One prompt of a task, with the hash it is known by in the store."""

    task: str
    role: str
    purpose: str
    version: int
    text: str

    @property
    def name(self) -> str:
        """Role and purpose, as in the task file."""
        return f"{self.role}.{self.purpose}"

    @cached_property
    def hash(self) -> str:
        """The hash of role, purpose and text."""
        return content_hash([self.role, self.purpose, self.text])


class Prompts:
    """All prompts of one task file."""

    def __init__(self, file: TaskFile) -> None:
        self._file = file
        self._templates = {(template.role, template.purpose): template for template in self._read()}
        self._systems: dict[str, Message] = {}
        texts = {template.name: template.text for template in self.all()}
        self._for_llms = _environment(texts, escape=True)
        self._for_student = _environment(texts, escape=False)

    def template(self, role: str, purpose: str) -> PromptTemplate:
        """The prompt of that role for that purpose.

        Raises:
            TaskError: the task has none, as with a verdict style that it was not written for.
        """
        template = self._templates.get((role, purpose))
        if template is None:
            there = ", ".join(template.purpose for template in self.all() if template.role == role)
            key, other = ("dialogue.critique", "critique") if purpose == "hint" else ("verdict.style", "a style")
            instead = f", or set {key} to {other} that the task has prompts for" if there else ""
            raise TaskError(
                f"task {self._file.name} has no prompt {role}.{purpose}, only {there or 'none of that role'}; add it "
                f"to the task{instead}"
            )
        return template

    def all(self) -> list[PromptTemplate]:
        """Every prompt that the task has, by role and purpose."""
        return list(self._templates.values())

    def _read(self) -> list[PromptTemplate]:
        return [
            PromptTemplate(self._file.name, role, purpose, self._file.version, text)
            for role in sorted(ROLES)
            if (prompts := getattr(self._file, role)) is not None
            for purpose, text in sorted(prompts.model_dump(exclude_none=True).items())
        ]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of an input that the task's prompts may show by name; none where it is one text."""
        return self._file.inputs

    def named_in(self, template: PromptTemplate) -> set[str]:
        """The values that a prompt asks for, under whatever condition; none where it is no template at all."""
        environment = self._for_student if template.role == "student" else self._for_llms
        try:
            return meta.find_undeclared_variables(environment.parse(template.text)) - set(environment.globals)
        except TemplateError:
            return set()

    def render(self, role: str, purpose: str, **values: Any) -> tuple[Message, Message]:
        """System and user message of a prompt.

        Raises:
            TaskError: there is no such prompt, or it asks for a value that is not there.
        """
        environment = self._for_student if role == "student" else self._for_llms
        text = _render(environment, self.template(role, purpose), values)
        if role not in self._systems:  # it has no values, and so is always the same
            system = _render(environment, self.template(role, "system"), {})
            self._systems[role] = Message(role="system", content=system)
        return self._systems[role], Message(role="user", content=text)


def escape(text: str) -> str:
    """The text unable to open or close a tag."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The text that `escape` was given."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _environment(texts: dict[str, str], *, escape: bool) -> BoundedEnvironment:
    """An environment that compiles each prompt once."""
    finalize = _as_data if escape else None
    return BoundedEnvironment(loader=DictLoader(texts), undefined=StrictUndefined, autoescape=False, finalize=finalize)


def _as_data(value: Any) -> str:
    """Applied to the expressions of a template, not to its own words."""
    return escape(str(value))


def _render(environment: BoundedEnvironment, template: PromptTemplate, values: dict[str, Any]) -> str:
    try:
        return render(environment.get_template(template.name), values).strip()
    except UndefinedError as error:
        has = f"; what it has is {', '.join(sorted(values))}" if values else ", and a system prompt has no values"
        raise TaskError(f"task {template.task}: the prompt {template.name} does not render: {error}{has}") from None
    except Exception as error:  # a template is a small program: anything may go wrong in it
        raise TaskError(f"task {template.task}: the prompt {template.name} does not render: {error}") from None
