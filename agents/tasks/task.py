"""A task: what is to be learned. It renders the prompts of each role, and says what of a reply is an output.

Tasks are files (`task_file.py`) or are made in Python; nothing here knows any one of them.
"""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import ValidationError

from ...core.errors import OpenmicError, TaskError
from ...core.ids import content_hash
from ...core.plugs import Plug, load_plug
from ...core.records import Input, Message, input_text, input_words
from ...core.text import fold, spaced, storable_text
from ..endpoints.reading import read_text
from .functions import Clean, Gate, TaskFunction, TaskFunctions, named_functions
from .gates import REFUSAL, first_problem
from .phrases import refuses, unannounced
from .pieces import pieces
from .prompt_check import check_prompts, example_input
from .prompts import Prompts, PromptTemplate
from .task_file import (
    Cleaning,
    CriticPrompts,
    JudgePrompts,
    StudentPrompts,
    TaskFile,
    TaskSampling,
    TeacherPrompts,
    Validity,
    checked_task,
    read_task_file,
    task_source,
)

__all__ = ["Output", "PromptTemplate", "Task", "load_task"]

_AROUND = (
    *(("**", "**"), ("*", "*"), ("`", "`"), ('"', '"'), ("“", "”"), ("'", "'"), ("‘", "’")),
    *(("„", "“"), ("«", "»"), ("»", "«"), ("「", "」"), ("『", "』"), ("＂", "＂")),
)
_APOSTROPHES = ("'", "’")
_ITEM = r"(?:\(?\d{1,2}[.):]|[-*•])(?:\s+|$)|（?\d{1,2}[、．）：](?!\d)\s*|[\u2460-\u2473・→➤►▶]\s*"
"""What stands before an item of a list; of the marks, those of East Asian scripts have no space after them."""
_EXPLAINED = re.compile(r"(?P<said>([\"“])[^\"“”]+[\"”])\s*[*_]*[(\[][^()\[\]]*[)\]][*_.]*")
"""A quoted text with a remark about it in brackets."""
_REMARKED = re.compile(r"\s*(?:([*_]{1,2})[(\[][^()\[\]]*[)\]]\1|\(\d+ words?\)|（\d+字）)\s*\Z")
"""A remark behind a text, in emphasised brackets, or of its length."""
_EMPHASIS = re.compile(r"(?<![\w*])(\*\*|__)(?=[^\s*_])([^*_\n]*[^\s*_])\1(?![\w*])")
"""Within a text; single asterisks may be an action or a footnote."""
_ESCAPED = re.compile(r"&(?:amp|lt|gt|quot|apos|#39|#x27);")
"""As prompts write these marks, and models after them."""
DUPLICATE = "duplicate"
SURPLUS = "more than were asked for"


class Output(NamedTuple):
    """A text that a large model, a function or a file gave for an input."""

    text: str
    """Cleaned."""
    problem: str | None
    """Why it is no answer, in the words of the gates or what it is instead of one; None where it is one."""


class Task:
    """What is to be learned: prompts of each role, how an output is read and cleaned, and what is valid."""

    def __init__(
        self,
        name: str,
        *,
        student: StudentPrompts | Mapping[str, str],
        teacher: TeacherPrompts | Mapping[str, str] | None = None,
        critic: CriticPrompts | Mapping[str, str] | None = None,
        judge: JudgePrompts | Mapping[str, str] | None = None,
        inputs: Sequence[str] = (),
        version: int = 1,
        description: str = "",
        cleaning: Cleaning | Mapping[str, Any] | None = None,
        validity: Validity | Mapping[str, Any] | None = None,
        sampling: TaskSampling | Mapping[str, Any] | None = None,
        clean: Clean | Sequence[Clean] = (),
        gates: Gate | Sequence[Gate] = (),
    ) -> None:
        """A task from its parts, which are those of a task file.

        Args:
            name: What it is called in the store and the reports.
            student: Its prompts by purpose: `system`, and `draft` and `revise` where they are not the input and the
                suggestion alone.
            teacher: `system` and `demonstrate`; None where no endpoint plays the teacher.
            critic: `system`, `compare`, and those of `reason`, `cloze` and `critique` that are wanted; None likewise.
            judge: As the critic's, without `critique`.
            inputs: The fields of an input that prompts show by name; none where an input is one text.
            version: Counts the task's editions.
            description: One line for people.
            cleaning: How a reply becomes an output.
            validity: What an output must be to count at all.
            sampling: How endpoints' models sample.
            clean: Functions of text to text, after `cleaning`.
            gates: Functions of output and input that say why the output is no answer, or None; after `validity`.

        Raises:
            TaskError: a part is missing or of the wrong kind, a prompt cannot do its work, or a function fails.
            ConfigError: a function that a part names cannot be imported.
        """
        parts: dict[str, Any] = {"name": name, "version": version, "description": description, "inputs": tuple(inputs)}
        parts |= {"student": student, "teacher": teacher, "critic": critic, "judge": judge}
        optional = {"cleaning": cleaning, "validity": validity, "sampling": sampling}
        parts |= {part: content for part, content in optional.items() if content is not None}
        self.file = checked_task(parts, name)
        self.name = self.file.name
        self.functions = TaskFunctions(
            named_functions("cleaning.functions", self.file.cleaning.functions, _several(clean)),
            named_functions("validity.functions", self.file.validity.functions, _several(gates)),
        )
        self.hash = content_hash([self.as_file().model_dump(mode="json"), self.functions.records])
        """Of everything that can change what is asked, or what counts as an answer."""
        self.prompts = Prompts(self.file)
        check_prompts(self.prompts)
        self.functions.try_on(example_input(self.prompts))

    def __reduce__(self) -> tuple[Callable[..., "Task"], tuple[Any, ...]]:
        """Another process makes it anew, from its parts and the functions that were given in Python."""
        cleaning, validity, functions = self.file.cleaning, self.file.validity, self.functions
        clean = [function.call for function in functions.clean[len(cleaning.functions) :]]
        gates = [function.call for function in functions.gates[len(validity.functions) :]]
        return _made_anew, (type(self), dict(self.file), clean, gates)

    @classmethod
    def from_file(
        cls, name: str | Path, *, clean: Clean | Sequence[Clean] = (), gates: Gate | Sequence[Gate] = ()
    ) -> Self:
        """Load a task by its shipped name or its file, with functions after those the file names.

        Raises:
            TaskError: there is no such task, it is malformed, a prompt cannot do its work, or a function fails.
            ConfigError: a function that the file names cannot be imported.
        """
        return cls(**dict(read_task_file(task_source(str(name)))), clean=clean, gates=gates)

    def as_file(self) -> TaskFile:
        """The task as a file would hold it, with functions that were given in Python named by their import paths."""

        def named(functions: Sequence[TaskFunction]) -> tuple[Plug, ...]:
            return tuple(Plug(use=one.record["use"], kwargs=one.record["kwargs"]) for one in functions)

        cleaning = self.file.cleaning.model_copy(update={"functions": named(self.functions.clean)})
        validity = self.file.validity.model_copy(update={"functions": named(self.functions.gates)})
        return self.file.model_copy(update={"cleaning": cleaning, "validity": validity})

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any], name: str) -> Self:
        """The task that a run was begun with, as `as_file` gave it; its functions are imported again.

        Raises:
            TaskError: this version of openmic has no such keys.
            ConfigError: a function cannot be imported.
        """
        return cls(**dict(checked_task(stored, name)))

    def values(self, given: Input) -> dict[str, str]:
        """What a prompt may show of an input: all of it as `input`, and each field that the task declares.

        Raises:
            TaskError: the input lacks a declared field.
        """
        fields, whole = self.file.inputs, input_text(given)
        has = given if not isinstance(given, str) else {fields[0]: given} if len(fields) == 1 else {}
        if lacking := [field for field in fields if field not in has]:
            raise TaskError(
                f"task {self.name} needs inputs with {', '.join(fields)}, and this one has no {', '.join(lacking)}: "
                f"{whole[:60]!r}"
            )
        return {"input": whole, **{field: has[field] for field in fields}}

    def check_inputs(self, fields: Sequence[str]) -> None:
        """Check that inputs with these fields have all that the prompts show.

        Raises:
            TaskError: they lack a field that the task declares; the prompts that show it are named.
        """
        if len(fields) == 1 and len(self.file.inputs) <= 1:
            return  # one text, however it is called
        for field in self.file.inputs:
            if field not in fields:
                asking = [prompt.name for prompt in self.templates() if field in self.prompts.named_in(prompt)]
                shown = f"which {', '.join(asking)} show" if asking else "which it declares"
                raise TaskError(
                    f"task {self.name} needs a field {field!r}, {shown}, and inputs.fields names {', '.join(fields)}; "
                    f"set inputs.fields to [{', '.join(self.file.inputs)}], or change the task"
                )

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

        `input` is one text, or the fields by name; the prompt may show all of it, and each field that is declared.

        Raises:
            TaskError: the task has no such prompt, or the prompt asks for a value that is not there.
        """
        if "input" in values:
            values |= self.values(values["input"])
        return self.prompts.render(role, purpose, **values)

    def clean(self, text: str) -> str:
        """Extract the output from a reply that holds one: no thought, fence, preamble, list marker or quotes around it.

        Raises:
            PlugError: a function of the task's fails.
        """
        lines = self.file.cleaning.first_line_only
        text = read_text(text.strip()).answer.replace("\0", " ").strip()
        said = pieces(text, 1, lines=lines)
        if said:
            text = next((piece.text.strip() for piece in said if piece.around is None and piece.text.strip()), "")
        if lines:
            text = next((line.strip() for line in text.splitlines() if line.strip()), "")
        text = unannounced(re.sub(f"^(?:{_ITEM})", "", text))
        text = _ESCAPED.sub(lambda mark: html.unescape(mark.group()), text)
        if self.file.cleaning.strip_quotes:
            text = _EMPHASIS.sub(r"\2", _unwrapped(_REMARKED.sub("", text)))
        text = spaced(text) if self.file.cleaning.keeps_line_breaks else " ".join(text.split())
        return storable_text(self.functions.cleaned(text)).strip()

    def problem(self, text: str, source: Input, *, cut_off: bool = False) -> str | None:
        """Why a cleaned output is no answer to `source` (the gates' words, ours first), or None.

        `cut_off` says that it ended at the most tokens and not by itself.

        Raises:
            PlugError: a function of the task's fails.
        """
        problem = first_problem(text, source, self.file.validity, cut_off=cut_off)
        return self.functions.problem(text, source) if problem is None else problem

    def refused(self, text: str) -> bool:
        """Whether a large model declined instead of answering."""
        return not text or refuses(text)

    def outputs(self, reply: str, source: Input, count: int, *, cut_off: bool = False) -> list[Output]:
        """What a reply holds: at most `count` outputs that are answers, and all the rest.

        The gates are those of the student's drafts. Of a reply that was cut off the last output is.

        Raises:
            PlugError: a function of the task's fails.
        """
        said = read_text(reply).answer.replace("\0", " ")
        patterns = self.file.validity.refusals
        if refuses(said, patterns) and not refuses(input_words(source), patterns):
            return [Output(" ".join(said.split()), REFUSAL)]
        found = pieces(said, count, lines=self.file.cleaning.first_line_only)
        last = max((place for place, piece in enumerate(found) if piece.around is None), default=-1)
        outputs: list[Output] = []
        for place, piece in enumerate(found):
            if piece.around is not None:
                outputs.append(Output(" ".join(piece.text.split()), piece.around))
            elif re.search(r"\w|[^\x00-\x7f]", piece.text):
                outputs.append(self._output(piece.text, source, cut_off=cut_off and place == last))
        return only_new(outputs, count)

    def checked(self, texts: Sequence[str], source: Input, count: int) -> list[Output]:
        """The outputs in texts that hold one each, as a function or a file gives them; else as in `outputs`.

        Raises:
            PlugError: a function of the task's fails.
        """
        return only_new([self._output(text, source) for text in texts], count)

    def _output(self, said: str, source: Input, *, cut_off: bool = False) -> Output:
        """The output in a text that holds one; where cleaning leaves nothing of it, what stood there."""
        text = self.clean(said)
        return Output(text or " ".join(said.split()), self.problem(text, source, cut_off=cut_off))


def only_new(outputs: Sequence[Output], count: int) -> list[Output]:
    """The outputs, those of them turned away that say a thing again, or come after `count` answers."""
    found, seen = list[Output](), set[str]()
    for output in outputs:
        problem = output.problem
        if problem is None:
            problem = DUPLICATE if fold(output.text) in seen else SURPLUS if len(seen) == count else None
        if problem is None:
            seen.add(fold(output.text))
        found.append(output._replace(problem=problem))
    return found


def _unwrapped(text: str) -> str:
    """The text without emphasis and quotes around the whole of it; quotes that open and close within it stay."""
    explained = _EXPLAINED.fullmatch(text)
    text = explained["said"] if explained else text
    for before, after in _AROUND:
        if not text.startswith(before):
            continue
        inner = text.removeprefix(before).removesuffix(after)
        if len(text) - len(inner) != len(before + after):
            continue
        quoted_within = f" {before}" in inner if after in _APOSTROPHES else before in inner or after in inner
        if not quoted_within:
            text = inner.strip()
    return text


def _made_anew(kind: type[Task], parts: dict[str, Any], clean: Sequence[Clean], gates: Sequence[Gate]) -> Task:
    return kind(**parts, clean=clean, gates=gates)


def load_task(name: str) -> Task:
    """The task that a configuration names: one that ships, a file, or `module:attribute`.

    The attribute is a task, or a function without arguments that returns one.

    Raises:
        TaskError: there is no such task, it is malformed, a prompt cannot do its work, or a function fails.
        ConfigError: it cannot be imported.
    """
    if not is_plug(name):
        return Task.from_file(name)
    try:
        found = load_plug(Plug(use=name), where="task")
    except ValidationError:
        raise TaskError(f"task {name!r} is no name that ships, no .yaml file and no module:attribute") from None
    if not isinstance(found, Task) and callable(found):
        try:
            found = found()
        except OpenmicError:
            raise
        except Exception as error:  # other people's code may raise anything
            raise TaskError(f"task {name} could not be made: {type(error).__name__}: {error}") from error
    if not isinstance(found, Task):
        raise TaskError(f"task {name} is a {type(found).__name__}, and no openmic.Task nor a function that returns one")
    return found


def is_plug(name: str) -> bool:
    """Whether a task is named by `module:attribute`."""
    return ":" in name and Path(name).suffix not in {".yaml", ".yml"}


def _several(functions: Callable[..., Any] | Sequence[Callable[..., Any]]) -> tuple[Callable[..., Any], ...]:
    return (functions,) if callable(functions) else tuple(functions)
