"""Rows with everything filled in that a test does not care about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import SQLModel

from openmic.core.ids import content_hash
from openmic.core.records import Agent, Split, Stage, TurnKind
from openmic.store import (
    Adapter,
    Annotation,
    BallotRow,
    CritiqueRow,
    Dialogue,
    Evaluation,
    EvaluationItem,
    ExampleRow,
    ExperimentRow,
    LLMCall,
    Preference,
    PromptRow,
    PromptTemplateRow,
    Run,
    RunExample,
    Training,
    TrainingItem,
    TrainingMetric,
    Turn,
    VerdictRow,
)

START = datetime(2020, 1, 1, tzinfo=UTC)


def run(**values: Any) -> Run:
    defaults: dict[str, Any] = {
        "id": "RUN1",
        "name": "first",
        "task": "humor",
        "task_hash": "t",
        "config": {"student": {"lr": 0.1}},
        "config_hash": "c",
        "arguments": ["run", "--set", "a=b"],
        "seed": 7,
        "home": "somewhere",
        "duplicate_inputs": 3,
    }
    return Run(**defaults | values)


def example(**values: Any) -> ExampleRow:
    return ExampleRow(**{"id": "e1", "text": "I am late"} | values)


def dialogue(**values: Any) -> Dialogue:
    defaults: dict[str, Any] = {
        "id": "d1",
        "run_id": "RUN1",
        "stage": Stage.COLLECT,
        "round": 1,
        "example_id": "e1",
    }
    return Dialogue(**defaults | values)


def turn(seq: int, **values: Any) -> Turn:
    content = values.get("content", f"text {seq}")
    defaults: dict[str, Any] = {
        "id": f"t{seq}",
        "run_id": "RUN1",
        "dialogue_id": "d1",
        "seq": seq,
        "agent": Agent.STUDENT,
        "kind": TurnKind.DRAFT,
        "content": content,
        "content_hash": content_hash(content),
        "model": "tiny",
    }
    return Turn(**defaults | values)


def verdict(**values: Any) -> VerdictRow:
    defaults: dict[str, Any] = {
        "id": "v1",
        "run_id": "RUN1",
        "dialogue_id": "d1",
        "agent": "critic",
        "first_turn_id": "t0",
        "second_turn_id": "t1",
        "forward_turn_id": "t2",
        "reverse_turn_id": "t3",
        "p_forward": 0.8,
        "p_reverse": 0.6,
        "p_first": 0.7,
        "consistent": True,
        "outcome": "win",
        "method": "logprobs",
        "source": "candidates",
    }
    return VerdictRow(**defaults | values)


def ballot(**values: Any) -> BallotRow:
    defaults: dict[str, Any] = {
        "turn_id": "t2",
        "verdict_id": "v1",
        "member": 0,
        "forward": True,
        "p_first": 0.8,
        "method": "logprobs",
    }
    return BallotRow(**defaults | values)


def preference(**values: Any) -> Preference:
    defaults: dict[str, Any] = {
        "id": "p1",
        "run_id": "RUN1",
        "round": 1,
        "dialogue_id": "d1",
        "example_id": "e1",
        "chosen_turn_id": "t0",
        "rejected_turn_id": "t1",
        "source": "candidates",
        "margin": 0.4,
        "length_ratio": 1.1,
    }
    return Preference(**defaults | values)


def training(**values: Any) -> Training:
    defaults: dict[str, Any] = {
        "id": "x1",
        "run_id": "RUN1",
        "stage": "round",
        "round": 1,
        "objective": "dpo",
        "parent_version": 1,
        "adapter_version": 2,
        "seed": 3,
        "examples": 1,
    }
    return Training(**defaults | values)


def talk_rows() -> list[SQLModel]:
    """One dialogue that went through everything, and a few that did not."""
    return [
        example(id="e2", text="The 100% bus"),
        dialogue(status="finished", stop_reason="accepted", final_turn_id="t5", started_at=START),
        turn(0, content="a Straße draft"),
        turn(1),
        turn(2, agent="critic", kind="verdict"),
        turn(3, agent="critic", kind="verdict"),
        turn(4, agent="critic", kind="critique"),
        turn(5, kind="revision", parent_turn_id="t0", content="a Revised draft"),
        turn(6, agent="critic", kind="verdict"),
        turn(7, agent="critic", kind="verdict"),
        verdict(
            id="v2",
            first_turn_id="t5",
            second_turn_id="t0",
            forward_turn_id="t6",
            reverse_turn_id="t7",
            source="revision",
        ),
        verdict(id="w1", created_at=datetime(2999, 1, 1, tzinfo=UTC)),
        CritiqueRow(turn_id="t4", target_turn_id="t0", works="w", missing="m", suggestion="s", parse_ok=True),
        preference(id="p2", chosen_turn_id="t5", rejected_turn_id="t0", source="revision", verdict_id="v2"),
        preference(id="p1", created_at=START),
        # Ids are hashes, so the order of the ids is not the order in time.
        dialogue(id="c9", example_id="e2", started_at=START + timedelta(seconds=1), status="failed", error="refused"),
        dialogue(id="b9", example_id="e2", round=2, started_at=START + timedelta(seconds=2)),
        dialogue(id="a9", example_id="e2", round=0, stage="demonstrate", started_at=START, status="finished"),
        turn(0, id="u0", dialogue_id="a9", agent="teacher", kind="demonstration"),
        run(id="RUN2"),
        dialogue(id="z9", run_id="RUN2", started_at=START),
    ]


def everything() -> list[Any]:
    """A row of every table, in an order that is not that of their references, for a store with a run and an input."""
    return [
        EvaluationItem(
            evaluation_id="ev1",
            example_id="e1",
            output_turn_id="t0",
            reference_turn_id="t1",
            verdict_id="v1",
            outcome="tie",
            length_ratio=0.9,
        ),
        ExperimentRow(id="E1", name="mine", spec={"arms": {}}),
        TrainingItem(id="i1", training_id="x1", run_id="RUN1", position=0, preference_id="p1"),
        TrainingMetric(training_id="x1", step=1, values={"loss": 0.5}),
        CritiqueRow(turn_id="t4", target_turn_id="t0", works="w", missing="m", suggestion="s", parse_ok=True),
        preference(verdict_id="v1"),
        ballot(),
        ballot(turn_id="t3", forward=False, p_first=0.6),
        verdict(),
        run(id="RUN9", kind="rejudge", source_run_id="RUN1"),
        *(turn(seq) for seq in range(4)),
        turn(4, parent_turn_id="t0", template_hash="h", prompt_hash="m", sampling={"temperature": 0.5}),
        dialogue(status="finished", final_turn_id="t4"),
        PromptTemplateRow(hash="h", task="humor", role="critic", purpose="critique", version="1", text="Say why."),
        Adapter(id="a1", run_id="RUN1", version=2, stage="round", round=1, base_model="tiny", training_id="x1"),
        training(),
        Evaluation(id="ev1", run_id="RUN1", adapter_version=2, split=Split.DEV),
        PromptRow(hash="m", messages=[{"role": "user", "content": "Why?"}]),
        LLMCall(
            run_id="RUN1",
            key="k",
            role="critic",
            model="big",
            prompt_hash="m",
            request={},
            reply={"text": "1", "model": "big", "raw": {}},
            reply_hash=content_hash({"text": "1", "model": "big", "raw": {}}),
        ),
        RunExample(run_id="RUN1", example_id="e1", position=0, split=Split.DEV),
        Annotation(id="n1", run_id="RUN1", dialogue_id="d1", turn_id="t4", name="tag", label="droll", author="Ann"),
    ]
