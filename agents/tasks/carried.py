"""What of a task goes where its student goes: the prompts that it is asked with."""

from typing import Any

from ...core.records import StudentSampling
from .prompt_check import example_input
from .task import Task


def carried_prompts(task: Task, sampling: StudentSampling) -> dict[str, Any]:
    """The student's prompts and sampling, ready for JSON.

    Returns:
        `task` and `task_version`; `inputs`, the fields of an input, none where it is one text; `system`, what the
        student is told first; `draft` and `revise`, Jinja templates of what it is asked; `sampling`, as in evaluations.
    """
    prompts, file = task.file.student, task.file
    system, _ = task.render("student", "draft", input=example_input(task.prompts))
    return {
        "task": task.name,
        "task_version": file.version,
        "inputs": list(file.inputs),
        "system": system.content,
        "draft": prompts.draft,
        "revise": prompts.revise,
        "sampling": sampling.model_dump(),
    }
