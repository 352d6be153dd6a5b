"""What the commands about transcripts have in common: naming a dialogue, and saying which dialogues are wanted."""

from enum import StrEnum
from typing import Annotated

import typer

from ...core.records import Agent, Split, Stage
from ...store import Dialogue, Run, Store
from ...store.search.filters import DialogueFilter, VerdictFilter
from ...store.tables.transcript import DialogueStatus, RunKind

DialogueArgument = Annotated[
    str, typer.Argument(metavar="[DIALOGUE]", help="A dialogue's id, a unique beginning of it, or `latest`.")
]


class StageChoice(StrEnum):
    """What dialogues were held for, or whatever they were held for."""

    DEMONSTRATE = "demonstrate"
    COLLECT = "collect"
    EVALUATE = "evaluate"
    REJUDGE = "rejudge"
    ALL = "all"


StageOption = Annotated[
    StageChoice | None,
    typer.Option("--stage", help="What the dialogues were held for. Default: what the run is about."),
]
SplitOption = Annotated[Split | None, typer.Option("--split", help="Only dialogues about inputs of this split.")]
RoundOption = Annotated[int | None, typer.Option("--round", help="Only this round.")]
StatusOption = Annotated[DialogueStatus | None, typer.Option("--status", help="Only dialogues that stand so.")]
StopOption = Annotated[str | None, typer.Option("--stop-reason", help="Only dialogues that ended for this reason.")]
AgentOption = Annotated[Agent | None, typer.Option("--agent", help="Only dialogues in which this one said something.")]
AdapterOption = Annotated[
    int | None, typer.Option("--adapter", min=0, help="Only dialogues in which this version of the student spoke.")
]
VerdictOption = Annotated[
    VerdictFilter | None,
    typer.Option("--verdict", help="Only dialogues with such a verdict (win: for its first text)."),
]
TagOption = Annotated[str | None, typer.Option("--tag", help="Only dialogues with this tag.")]
TextOption = Annotated[
    str | None, typer.Option("--text", help='Only where the input or a turn holds these words and "quoted phrases".')
]

MAIN_STAGE: dict[RunKind, Stage] = {
    "campaign": Stage.COLLECT,
    "rejudge": Stage.REJUDGE,
    "train": Stage.EVALUATE,
    "evaluate": Stage.EVALUATE,
}
"""The dialogues a run is about, by what it does."""


def filter_of(
    *,
    stage: Stage | None,
    split: Split | None = None,
    round_number: int | None,
    status: DialogueStatus | None,
    stop_reason: str | None,
    agent: Agent | None,
    adapter: int | None,
    verdict: VerdictFilter | None,
    tag: str | None,
    text: str | None,
) -> DialogueFilter:
    """The filter that the options of a command mean."""
    return DialogueFilter(
        stage=stage,
        split=split,
        round=round_number,
        status=status,
        stop_reason=stop_reason,
        agent=agent,
        adapter_version=adapter,
        verdict=verdict,
        tag=tag,
        text=text,
    )


def stage_of(choice: StageChoice | None, run: Run | None = None) -> Stage | None:
    """The stage that is meant; where nothing is said, what the run is about, or without a run any."""
    if choice is None:
        return None if run is None else MAIN_STAGE[run.kind]
    return None if choice is StageChoice.ALL else Stage(choice.value)


def resolve_dialogue(reader: Store, name: str) -> Dialogue:
    """`latest` is the last critique-and-revise dialogue of the last run, where there is one."""
    if name.lower() != "latest":
        return reader.resolve_dialogue(name)
    run = reader.resolve_run("latest")
    held = reader.select(
        Dialogue, run_id=run.id, stage=Stage.COLLECT, status="finished", order_by="-finished_at", limit=1
    )
    return held[0] if held else reader.resolve_dialogue("latest", run.id)
