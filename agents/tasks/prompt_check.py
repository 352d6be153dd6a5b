"""Whether the prompts of a task can do their work: each renders, and shows what its reader has to see.

What is wrong is found by rendering with marks in place of texts, not by reading templates: a value that only a filter
or a loop shows counts, one in a comment does not. Whether a prompt is any good is for people, and for runs, to say.
"""

import difflib
import re
from typing import Any

from ...core.errors import TaskError
from ...core.records import Input
from .prompts import Prompts, PromptTemplate
from .task_file import RESERVED

EXAMPLE: dict[str, Any] = {
    "input": "(the input)",
    "count": 3,
    "overused": ["(an ending that was heard too often)"],
    "first": "(the first text)",
    "second": "(the second text)",
    "draft": "(the student's draft)",
    "suggestion": "(the critic's suggestion)",
    "text": "(the text)",
}
"""Something in place of everything a prompt may ask for, to show what a rendered prompt looks like."""

NEEDED = {
    ("student", "draft"): ("input",),
    ("student", "revise"): ("suggestion",),
    ("teacher", "demonstrate"): ("input", "count"),
    **{("critic", form): ("input", "draft") for form in ("critique", "hint")},
    **{(role, style): ("input", "first", "second") for role in ("critic", "judge") for style in ("compare", "reason")},
    **{(role, "cloze"): ("input", "text") for role in ("critic", "judge")},
}
"""What each prompt has to show."""
WITH_OVERUSED = frozenset({("teacher", "demonstrate"), ("critic", "critique"), ("critic", "hint")}) | {
    (role, style) for role in ("critic", "judge") for style in ("compare", "reason")
}
"""The prompts that are told which endings have been heard too often."""
_TEXTS = ("first", "second", "draft", "suggestion", "text")
"""The values that models write, besides `overused`."""
_COUNT = 41
_TAGGED = re.compile(r"<(\w+)>.*?</\1>", re.DOTALL)


def example_values(template: PromptTemplate) -> dict[str, Any]:
    """Something in place of every value that a prompt is given, but the input."""
    names = NEEDED.get((template.role, template.purpose), ())
    overused = ["overused"] if (template.role, template.purpose) in WITH_OVERUSED else []
    return {name: EXAMPLE[name] for name in (*names, *overused) if name != "input"}


def example_input(prompts: Prompts) -> Input:
    """Something in place of an input of this task."""
    return {name: f"(the {name})" for name in prompts.fields} if prompts.fields else str(EXAMPLE["input"])


def check_prompts(prompts: Prompts) -> None:
    """Check every prompt of a task.

    Raises:
        TaskError: a prompt does not render, asks for what it is not given, such as a field that the task does not
            declare, does not show a value that it is for, or breaks what its purpose asks for: a `reason` prompt names
            both answer lines, a `cloze` prompt ends in the candidate within its tag.
    """
    for template in prompts.all():
        _check_names(prompts, template)
        renderings = _renderings(prompts, template)
        for name in NEEDED.get((template.role, template.purpose), ()):
            shown_as = ("input", *prompts.fields) if name == "input" else (name,)
            if not any(_shows(text, shown) for text in renderings for shown in shown_as):
                fields = f", and none of {', '.join(prompts.fields)}" if len(shown_as) > 1 else ""
                raise TaskError(f"{_about(template)} never shows {{{{ {name} }}}}{fields}")
        if template.purpose == "reason":
            for line in ("Answer: 1", "Answer: 2"):
                if not all(line in text for text in renderings):
                    raise TaskError(
                        f"{_about(template)} does not say {line!r}; it should ask for a short reason and then for a "
                        "last line that is either `Answer: 1` or `Answer: 2`"
                    )
        if template.purpose == "cloze" and not all(
            text.endswith(f"<text>{_mark('text')}</text>") for text in renderings
        ):
            raise TaskError(
                f"{_about(template)} does not end in <text>{{{{ text }}}}</text>; what is likely there is the verdict"
            )


def unseen_fields(prompts: Prompts) -> list[str]:
    """One line for each declared field that the student is never shown."""
    texts = _renderings(prompts, prompts.template("student", "draft"))
    return [
        f"student.draft: {{{{ {field} }}}} is never shown, nor all of the {{{{ input }}}}"
        for field in prompts.fields
        if not any(_shows(text, shown) for text in texts for shown in (field, "input"))
    ]


def exposed_values(prompts: Prompts) -> list[str]:
    """One line for each value that stands outside any tag in a prompt to a large model.

    There its text is not marked as data, and might be taken for an instruction.
    """
    return [
        f"{template.name}: {{{{ {name} }}}} stands outside any tag, so its text could pass for an instruction; "
        f"write <{_tag_for(name)}>{{{{ {name} }}}}</{_tag_for(name)}>"
        for template in prompts.all()
        if template.role != "student"
        for name in ("input", *(field for field in prompts.fields if field != "input"), *_TEXTS, "overused")
        if any(_shows(_TAGGED.sub("", text), name) for text in _renderings(prompts, template))
    ]


def _renderings(prompts: Prompts, template: PromptTemplate) -> list[str]:
    """The prompt with marks for texts: with and without endings heard too often, with many and with one to write."""
    marks: dict[str, Any] = {name: _mark(name) for name in ("input", *prompts.fields)}
    marks |= {name: _mark(name) for name in example_values(template) if name in _TEXTS}
    with_overused = (template.role, template.purpose) in WITH_OVERUSED
    told: list[dict[str, Any]] = [{"overused": [_mark("overused")]}, {"overused": []}] if with_overused else [{}]
    counts: list[dict[str, Any]] = [{"count": _COUNT}, {"count": 1}] if template.purpose == "demonstrate" else [{}]
    return [
        prompts.render(template.role, template.purpose, **marks | count | overused)[1].content
        for count in counts
        for overused in told
    ]


def _check_names(prompts: Prompts, template: PromptTemplate) -> None:
    """A name that no prompt is ever given is a slip, or a field that the task does not declare."""
    for name in sorted(prompts.named_in(template) - RESERVED - {"input", *prompts.fields}):
        if template.purpose == "system":
            continue  # rendering says that it has no values
        declared = f"the task's inputs are {', '.join(prompts.fields)}" if prompts.fields else "an input is one text"
        close = difflib.get_close_matches(name, sorted({"input", *prompts.fields} | RESERVED), n=1, cutoff=0.8)
        raise TaskError(
            f"{_about(template)} does not render: {name!r} is undefined ({declared}); "
            + (f"did you mean {close[0]!r}? else " if close else "")
            + f"declare fields of inputs in the task, as `inputs: [{', '.join([*prompts.fields, name])}]`"
        )


def _mark(name: str) -> str:
    return f"zq{name}zq"


def _shows(text: str, name: str) -> bool:
    if name == "count":
        return str(_COUNT) in text
    return _mark(name) in text.lower()  # whatever case a filter has put it in


def _tag_for(name: str) -> str:
    return "source" if name == "input" else name


def _about(template: PromptTemplate) -> str:
    return f"task {template.task}: the prompt {template.name}"
