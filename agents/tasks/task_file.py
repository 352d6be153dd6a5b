"""A task as it stands on disk: its schema, where shipped tasks lie, and reading one.

It does not know what a prompt needs or how one is rendered (`prompts.py`, `prompt_check.py`).
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ...core.errors import TaskError
from ...core.files.yaml_text import BadYAMLError, parse_yaml
from ...core.nearest_key import nearest_key
from ...core.plugs import Plug
from ...core.records import Sampling
from ...core.section import from_home

RESERVED = frozenset({"first", "second", "draft", "suggestion", "text", "count", "overused", "loop", "self"})
"""What a prompt may show besides the input, so no field of an input is called so."""
_FIELD = re.compile(r"[A-Za-z_]\w*")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class StudentPrompts(_Part):
    """What the student is asked; it is trained on exactly these words."""

    system: str
    """Its system prompt, in training and wherever it writes."""
    draft: str = "{{ input }}"
    """What it is asked for an output."""
    revise: str = "{{ suggestion }}"
    """What it is asked after its draft and a critique of it."""


class TeacherPrompts(_Part):
    """What the teacher is asked."""

    system: str
    """Its system prompt."""
    demonstrate: str
    """What it is asked for demonstrations. `count` is how many to write, `overused` the endings that were heard too
    often."""


class JudgePrompts(_Part):
    """What the judge is asked. `compare` is asked for a label alone; the two others serve other verdict styles."""

    system: str
    """Its system prompt."""
    compare: str
    """Which of two texts, `first` and `second`, is the better answer to the input. To be answered by 1 or 2 alone."""
    reason: str | None = None
    """As `compare`, with a reason before the label, which stands in a last line `Answer: 1` or `Answer: 2`."""
    cloze: str | None = None
    """No question but a text that ends in `<text>{{ text }}</text>`: the likelier the candidate there, the better."""


class CriticPrompts(JudgePrompts):
    """What the critic is asked: what the judge is, and written critiques."""

    critique: str | None = None
    """Without it an endpoint's critic writes no critiques, and dialogues can have no revisions."""
    hint: str | None = None
    """As `critique`, for `dialogue.critique=hint`: what is missing, and no word of how the text could go instead."""


class Cleaning(_Part):
    """How a reply becomes an output."""

    first_line_only: bool = True
    """Whether what stands after the first line with anything on it is no part of the output."""
    line_breaks: bool | None = None
    """Whether line breaks within an output stay, as in a letter or a list. None: where `first_line_only` is false."""
    strip_quotes: bool = True
    """Whether quotes and emphasis around the whole of it are no part of it."""
    functions: tuple[Plug, ...] = ()
    """Functions of text to text that go on where this cleaning ends, in their order."""

    @model_validator(mode="after")
    def _one_line_has_no_breaks(self) -> Self:
        if self.first_line_only and self.line_breaks:
            raise ValueError("line_breaks are kept of what first_line_only cuts off; set first_line_only to false")
        return self

    @property
    def keeps_line_breaks(self) -> bool:
        """Whether they stay, the default filled in."""
        return not self.first_line_only if self.line_breaks is None else self.line_breaks


class Validity(_Part):
    """What an output must be to count at all.

    Where a script has no spaces between words, letters are counted in place of words (`core.text.length`).
    """

    min_words: int = Field(default=1, ge=1)
    """The fewest words of an output."""
    max_words: int = Field(default=200, ge=1)
    """The most words of an output."""
    max_length_ratio: float | None = Field(default=None, gt=0)
    """The most words of the output for one word of the input. None: however many."""
    max_repetition: float = Field(default=0.5, ge=0, le=1)
    """The largest share of the output's word 3-grams that may repeat an earlier one; 1 lets everything pass."""
    complete: bool = True
    """Whether an output has to end by itself, and not because it has reached the most tokens."""
    refusals: tuple[str, ...] | None = None
    """How a text begins that declines to answer: regular expressions, in any language, whatever the case of letters.
    None: as models decline in the languages of `agents.tasks.phrases`. Empty: no text is taken for a refusal."""
    functions: tuple[Plug, ...] = ()
    """Functions of output and input that return None where the output is an answer, else why not in a few words.
    They are called in their order, on what has passed all of the above."""

    @model_validator(mode="after")
    def _some_length_is_valid(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) is over max_words ({self.max_words})")
        return self

    @field_validator("refusals")
    @classmethod
    def _refusals_can_be_looked_for(cls, refusals: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for pattern in refusals or ():
            try:
                found = re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
            if found.match(""):
                raise ValueError(f"{pattern!r} matches every text, so all would be refusals")
        return refusals


class TaskSampling(_Part):
    """How the large models sample for this task."""

    teacher: Sampling = Sampling(temperature=0.8, max_tokens=400)
    """Demonstrations and references."""
    critique: Sampling = Sampling(temperature=0.7, max_tokens=200)
    """Critiques."""


class TaskFile(_Part):
    """A task file."""

    name: str = Field(min_length=1)
    """What it is called in reports, and in a configuration where it ships."""
    version: int = Field(default=1, ge=1)
    """To be raised where its prompts change; a run keeps the hash of all of it besides."""
    description: str = ""
    """One line for lists of tasks."""
    inputs: tuple[str, ...] = ()
    """The fields of an input that prompts show by name, such as question and context. Empty: an input is one text,
    `input`. In a prompt `input` is all of an input as one text, unless a field is called so."""
    student: StudentPrompts
    """What the student is asked."""
    teacher: TeacherPrompts | None = None
    """What the teacher is asked. Left out where no endpoint plays it."""
    critic: CriticPrompts | None = None
    """What the critic is asked. Left out where no endpoint plays it."""
    judge: JudgePrompts | None = None
    """What the judge is asked. Left out where no endpoint plays it."""
    cleaning: Cleaning = Cleaning()
    """How a reply becomes an output, of student and teacher alike."""
    validity: Validity = Validity()
    """The gates that every output passes before it is judged or trained on; what they turn away is counted."""
    sampling: TaskSampling = TaskSampling()
    """How teacher and critic sample; `cast.….sampling` in the configuration is laid over it."""

    @field_validator("inputs")
    @classmethod
    def _names_that_a_prompt_can_show(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for place, name in enumerate(names):
            if not _FIELD.fullmatch(name):
                raise ValueError(f"{name!r} is no name that a prompt can show: letters, digits and _, no digit first")
            if name in RESERVED:
                raise ValueError(f"{name!r} means something else in prompts, as {', '.join(sorted(RESERVED))} do")
            if name in names[:place]:
                raise ValueError(f"{name!r} stands there twice")
        return names


@dataclass(frozen=True, slots=True)
class TaskSource:
    """The text of a task file, and what to call it in messages."""

    where: str
    text: str


def shipped_tasks() -> list[str]:
    """The names of the tasks that come with openmic, sorted."""
    folder = files(__package__)
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def task_source(name: str) -> TaskSource:
    """The file of a shipped task, or the file of that path where `name` ends in .yaml or .yml.

    Raises:
        TaskError: there is no such task or file, or it is not UTF-8.
    """
    path = Path(from_home(name))
    if path.suffix in {".yaml", ".yml"}:
        try:
            return TaskSource(str(path), path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"task file {str(path)!r} cannot be read: {error}") from None
    shipped = shipped_tasks()
    if name not in shipped:
        close = difflib.get_close_matches(name, shipped, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise TaskError(f"there is no task {name!r}; {hint}shipped are {', '.join(shipped)}, or give a .yaml file")
    item = files(__package__).joinpath(f"{name}.yaml")
    return TaskSource(name, item.read_text(encoding="utf-8"))


def read_task_file(source: TaskSource) -> TaskFile:
    """The task file, its schema checked.

    Raises:
        TaskError: it is not YAML, or as for `checked_task`.
    """
    try:
        content = parse_yaml(source.text)
    except BadYAMLError as fault:
        raise TaskError(f"task {source.where}, {fault}") from None
    if not isinstance(content, dict):
        raise TaskError(
            f"task {source.where} holds no task: it should be a mapping with name, version, description and prompts; "
            "`openmic task show humor` prints one"
        )
    return checked_task(content, source.where)


def as_yaml(file: TaskFile) -> str:
    """The text of a task file that reads as this one; what stands at its default is left out."""
    content = file.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def checked_task(content: Mapping[str, Any], where: str) -> TaskFile:
    """The task that a mapping of a task file's keys describes; `where` is what to call it in messages.

    Raises:
        TaskError: keys are unknown, missing or of the wrong kind; all of them are named.
    """
    try:
        return TaskFile.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(_explain(item) for item in error.errors())
        raise TaskError(f"task {where}: {problems}") from None


def _explain(item: Any) -> str:
    key = tuple(str(part) for part in item["loc"])
    dotted = ".".join(key)
    if item["type"] == "extra_forbidden":
        return f"unknown key {dotted!r}{nearest_key(TaskFile, key)}"
    if item["type"] == "missing":
        return f"{dotted} is missing"
    message = item["msg"].removeprefix("Value error, ")
    given = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r:.80})"
    return f"{dotted}: {message[:1].lower()}{message[1:]}{given}"
