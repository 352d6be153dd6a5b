"""Whether the simulated cast can play in a task: it knows two, by the tags in their prompts."""

from collections.abc import Iterator, Sequence

from ...agents.tasks.prompt_check import example_input, example_values
from ...agents.tasks.task import Task
from ...agents.verdicts.pairwise import PURPOSES
from ...core.config import RunConfig
from ...core.errors import ConfigError
from ..context.models import simulated_task_of, simulated_tasks
from ..context.seats import Seat, seat_setting, seats

_INSTEAD = {
    "teacher": "demonstrations from a file ({key}.demonstrations) or a function ({key}.use) for the teacher",
    "references": "references from a file ({key}.demonstrations) or a function ({key}.use)",
    "critic": "a scorer for the critic ({key}.use: module:function; docs/how-to/scorers.md)",
    "judge": "a scorer for the judge ({key}.use)",
}


def prompts_asked(config: RunConfig, seat: Seat) -> list[str]:
    """The purposes of the task's prompts that somebody on this seat is sent."""
    if seat[0] == "teacher":
        return ["demonstrate"]
    style = config.verdict.style
    writes = seat == ("critic", 0) and config.dialogue.max_revisions
    return [style if style == "cloze" else PURPOSES[style], *([config.dialogue.critique] if writes else [])]


def check_simulated_task(config: RunConfig, task: Task, simulated: Sequence[Seat]) -> None:
    """Refuse to have the simulated cast play in a task that it does not know.

    Args:
        config: The configuration.
        task: Its task.
        simulated: The seats where the simulated cast sits, embedded or served elsewhere.

    Raises:
        ConfigError: a prompt of one of them shows the input in no tag that the cast knows.
    """
    lost = [seat for seat in simulated if None in _taken_for(config, task, seat)]
    if not lost:
        return
    keys = list(dict.fromkeys(_key(config, seat) for seat in lost))
    ways = [_INSTEAD.get(key, _INSTEAD["critic"]).format(key=f"cast.{key}") for key in keys]
    known = " and ".join(f"{name} (<{tag}>)" for name, tag in simulated_tasks().items())
    raise ConfigError(
        f"cast.{', cast.'.join(keys)}: the simulated cast plays in two tasks alone, {known}, which it knows by the tag "
        f"around the input, and it would answer nonsense to the prompts of {task.name!r}. Give "
        f"{'; '.join(ways)}; or models of an endpoint (cast.{keys[0]}.model and base_url)"
    )


def simulated_task_notes(config: RunConfig, task: Task) -> list[str]:
    """A line where the simulated cast takes a task of another name for one of its own."""
    sitting = [seat for seat, settings in seats(config.cast).items() if settings.asked and settings.simulated]
    played = {name for seat in sitting for name in _taken_for(config, task, seat) if name is not None}
    return [
        f"the simulated cast takes the task {task.name!r} for {name}, by the tag around the input in its prompts"
        for name in sorted(played - {task.name})
    ]


def _taken_for(config: RunConfig, task: Task, seat: Seat) -> Iterator[str | None]:
    """What the simulated cast takes each prompt that this seat is sent for."""
    if getattr(task.file, seat[0]) is None:  # a task of one's own, written for others than endpoints
        yield None
        return
    for purpose in prompts_asked(config, seat):
        values = example_values(task.template(seat[0], purpose))
        yield simulated_task_of(task.render(seat[0], purpose, input=example_input(task.prompts), **values)[1].content)


def _key(config: RunConfig, seat: Seat) -> str:
    """Where a seat is set; a judge that is none of its own is the critic."""
    return "critic" if seat == ("judge", 0) and config.cast.judge is None else seat_setting(seat)
