"""A task: what is to be learned, as a file: the prompts of each role, how an output is cleaned, what is valid."""

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..core.errors import TaskError
from ..core.ids import content_hash
from ..core.records import Message, Sampling
from ..core.text import fold, words

_AROUND = (("**", "**"), ("*", "*"), ('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’"))
_APOSTROPHES = ("'", "’")
_REFUSAL = re.compile(
    r"i(?:'|’)?m sorry|sorry,|as an ai\b|i(?:'|’)?m unable"
    # "I can't" alone begins many a first-person sentence.
    r"|i can(?:no|'|’)t (?:help (?:you|with)|assist|comply|fulfil|provide|do th|write|create|generate|retell|rewrite)",
    re.IGNORECASE,
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StudentPrompts(_Part):
    """What the student is asked; it is trained on exactly these words."""

    system: str
    draft: str
    revise: str


class TeacherPrompts(_Part):
    """What the teacher is asked."""

    system: str
    demonstrate: str


class CriticPrompts(_Part):
    """What the critic is asked."""

    system: str
    compare: str
    critique: str


class JudgePrompts(_Part):
    """What the judge is asked."""

    system: str
    compare: str


class Cleaning(_Part):
    """How a reply becomes an output."""

    first_line_only: bool = True
    strip_quotes: bool = True


class Validity(_Part):
    """What an output must be to count at all."""

    min_words: int = Field(default=1, ge=1)
    max_words: int = Field(default=200, ge=1)
    complete: bool = True
    """Whether an output has to end by itself, and not because it has reached the most tokens."""


class TaskSampling(_Part):
    """How the large models sample for this task."""

    teacher: Sampling = Sampling(temperature=0.8, max_tokens=400)
    critique: Sampling = Sampling(temperature=0.7, max_tokens=200)


class TaskFile(_Part):
    """A task file as it stands on disk."""

    name: str
    version: int = Field(ge=1)
    description: str
    student: StudentPrompts
    teacher: TeacherPrompts
    critic: CriticPrompts
    judge: JudgePrompts
    cleaning: Cleaning = Cleaning()
    validity: Validity = Validity()
    sampling: TaskSampling = TaskSampling()


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """One prompt of a task, with the hash it is known by in the store."""

    task: str
    role: str
    purpose: str
    version: int
    text: str

    @property
    def hash(self) -> str:
        """The hash of role, purpose and text."""
        return content_hash([self.role, self.purpose, self.text])


class Task:
    """A task that can render its prompts and clean outputs."""

    def __init__(self, file: TaskFile) -> None:
        self.file = file
        self.name = file.name
        self.hash = content_hash(file.model_dump())
        self._for_llms = _environment(escape=True)
        self._for_student = _environment(escape=False)

    def template(self, role: str, purpose: str) -> PromptTemplate:
        """The prompt of that role for that purpose."""
        return PromptTemplate(self.name, role, purpose, self.file.version, getattr(getattr(self.file, role), purpose))

    def templates(self) -> list[PromptTemplate]:
        """Every prompt of the task."""
        pairs = [
            (role, purpose)
            for role in ("student", "teacher", "critic", "judge")
            for purpose in getattr(self.file, role).model_fields_set
        ]
        return [self.template(role, purpose) for role, purpose in sorted(pairs)]

    def render(self, role: str, purpose: str, **values: Any) -> tuple[Message, ...]:
        """System and user message of a prompt.

        Raises:
            TaskError: the prompt asks for a value that is not there.
        """
        environment = self._for_student if role == "student" else self._for_llms
        text = _render(environment, self.template(role, purpose), values)
        system = _render(environment, self.template(role, "system"), {})
        return Message(role="system", content=system), Message(role="user", content=text)

    def clean(self, text: str) -> str:
        """The output in a model's reply: a number or bullet before it and marks around it are no part of it."""
        text = text.strip()
        if self.file.cleaning.first_line_only:
            text = next((line.strip() for line in text.splitlines() if line.strip()), "")
        text = re.sub(r"^(?:\(?\d{1,2}[.):]|[-*•])(?:\s+|$)", "", text)
        if self.file.cleaning.strip_quotes:
            text = _unwrapped(text)
        return re.sub(r"\s+", " ", text)

    def problem(self, text: str, source: str, *, cut_off: bool = False) -> str | None:
        """Why a cleaned output is no answer to `source` (the gates' words), or None.

        `cut_off` says that it ended at the most tokens and not by itself.
        """
        if cut_off and self.file.validity.complete:
            return "cut off"
        count = len(words(text))
        if count < self.file.validity.min_words:
            return "too short" if count else "empty"
        if count > self.file.validity.max_words:
            return "too long"
        return "copy of the input" if fold(text) == fold(source) else None

    def refused(self, text: str) -> bool:
        """Whether a large model declined instead of answering."""
        return not text or bool(_REFUSAL.match(text))

    def numbered_list(self, text: str, count: int) -> list[str]:
        """The outputs of a reply that was asked for `count` of them, cleaned; fewer if the model wrote fewer."""
        lines = [line for line in text.splitlines() if line.strip()]
        numbered = [line for line in lines if re.match(r"\s*(?:\(?\d{1,2}[.):]|[-*•])\s+", line)]
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
        TaskError: there is no such task, the file is malformed, or a prompt does not render.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        source, where = _read(path), str(path)
    else:
        shipped = {
            item.name.removesuffix(".yaml"): item
            for item in files(__package__).joinpath("tasks").iterdir()
            if item.name.endswith(".yaml")
        }
        if name not in shipped:
            raise TaskError(
                f"there is no task {name!r}; shipped are {', '.join(sorted(shipped))}, or give a .yaml file"
            )
        source, where = shipped[name].read_text(encoding="utf-8"), name
    try:
        task = Task(TaskFile.model_validate(yaml.safe_load(source)))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise TaskError(f"task {where}: {problems}") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that looks like one and is none
        raise TaskError(f"task {where}: not valid YAML: {error}") from None
    _check_prompts(task)
    return task


def _check_prompts(task: Task) -> None:
    sample: dict[str, Any] = {
        "input": "x",
        "count": 2,
        "heard": ["a b c"],
        "first": "x",
        "second": "y",
        "draft": "x",
        "suggestion": "x",
    }
    for template in task.templates():
        task.render(template.role, template.purpose, **sample)
    for role, purpose, needed in (
        ("student", "draft", ("input",)),
        ("student", "revise", ("suggestion",)),
        ("teacher", "demonstrate", ("input",)),
        ("critic", "compare", ("input", "first", "second")),
        ("critic", "critique", ("input", "draft")),
        ("judge", "compare", ("input", "first", "second")),
    ):
        missing = [
            name for name in needed if not re.search(r"\{\{[^}]*\b" + name + r"\b", task.template(role, purpose).text)
        ]
        if missing:
            raise TaskError(f"task {task.name}: the prompt {role}.{purpose} never shows {{{{ {missing[0]} }}}}")


def _environment(*, escape: bool) -> SandboxedEnvironment:
    return SandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, finalize=_as_data if escape else None, keep_trailing_newline=False
    )


def _as_data(value: Any) -> str:
    """Make a text unable to close the tag it stands in. Applied to expressions, not to the template's own words."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _render(environment: SandboxedEnvironment, template: PromptTemplate, values: dict[str, Any]) -> str:
    try:
        return environment.from_string(template.text).render(**values).strip()
    except Exception as error:  # a template is a small program: anything may go wrong in it
        raise TaskError(
            f"task {template.task}: the prompt {template.role}.{template.purpose} does not render: {error}"
        ) from None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"task file {str(path)!r} cannot be read: {error}") from None
