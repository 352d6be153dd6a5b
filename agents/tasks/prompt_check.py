"""Whether the prompts of a task can do their work: each renders, and shows what its reader has to see.

What is wrong is found by rendering with marks in place of texts, not by reading templates: a value that only a filter
or a loop shows counts, one in a comment does not. Whether a prompt is any good is for people, and for runs, to say.
"""

import re
from typing import Any

from ...core.errors import TaskError
from .prompts import Prompts, PromptTemplate

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

_NEEDED = {
    ("student", "draft"): ("input",),
    ("student", "revise"): ("suggestion",),
    ("teacher", "demonstrate"): ("input", "count"),
    ("critic", "critique"): ("input", "draft"),
    **{(role, style): ("input", "first", "second") for role in ("critic", "judge") for style in ("compare", "reason")},
    **{(role, "cloze"): ("input", "text") for role in ("critic", "judge")},
}
_TEXTS = ("input", "first", "second", "draft", "suggestion", "text")
"""The values that are written by models or come from input files, besides `overused`."""
_COUNT = 41
_TAGGED = re.compile(r"<(\w+)>.*?</\1>", re.DOTALL)


def check_prompts(prompts: Prompts) -> None:
    """Check every prompt of a task.

    Raises:
        TaskError: a prompt does not render, does not show a value that it is for, or breaks what its purpose asks for:
            a `reason` prompt names both answer lines, a `cloze` prompt ends in the candidate within its tag.
    """
    for template in prompts.all():
        renderings = _renderings(prompts, template)
        for name in _NEEDED.get((template.role, template.purpose), ()):
            if not any(_shows(text, name) for text in renderings):
                raise TaskError(f"{_about(template)} never shows {{{{ {name} }}}}")
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


def exposed_values(prompts: Prompts) -> list[str]:
    """One line for each value that stands outside any tag in a prompt to a large model.

    There its text is not marked as data, and might be taken for an instruction.
    """
    return [
        f"{template.name}: {{{{ {name} }}}} stands outside any tag, so its text could pass for an instruction; "
        f"write <{_tag_for(name)}>{{{{ {name} }}}}</{_tag_for(name)}>"
        for template in prompts.all()
        if template.role != "student"
        for name in (*_TEXTS, "overused")
        if any(_shows(_TAGGED.sub("", text), name) for text in _renderings(prompts, template))
    ]


def _renderings(prompts: Prompts, template: PromptTemplate) -> list[str]:
    """The prompt with marks for texts: with and without endings heard too often, with many and with one to write."""
    marks = {name: _mark(name) for name in _TEXTS}
    return [
        prompts.render(template.role, template.purpose, **marks, count=count, overused=overused)[1].content
        for count in (_COUNT, 1)
        for overused in ([_mark("overused")], [])
    ]


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
