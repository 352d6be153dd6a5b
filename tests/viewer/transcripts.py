"""A small run with one of everything that a page shows. Every text in it is made by `say`, which is told the field."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from openmic.core.records import Agent, Split, Stage, TurnKind
from openmic.store import (
    Adapter,
    Annotation,
    CritiqueRow,
    Dialogue,
    Evaluation,
    EvaluationItem,
    ExampleRow,
    LLMCall,
    PromptRow,
    PromptTemplateRow,
    Run,
    RunExample,
    Store,
    TrainingItem,
    TrainingMetric,
)
from openmic.store.schema import now

from ..store.rows import ballot, dialogue, example, preference, run, training, turn, verdict

Say = Callable[[str], str]
SUMMARY = {"n": 3, "win": 2, "tie": 0, "loss": 1, "win_tie_rate": 0.66, "ci": [0.4, 0.9], "consistency": 1.0}
STARTED = now()


def write(store: Store, say: Say = str) -> None:
    """Add the run RUN1: the dialogue d1 with all kinds of turns, and three evaluated inputs for adapters 0 and 2."""
    store.add(
        _run(say), example(text=say("input")), RunExample(run_id="RUN1", example_id="e1", position=0, split=Split.TRAIN)
    )
    store.add(
        PromptTemplateRow(hash="h1", task="humor", role="critic", purpose="critique", version="3", text=say("template"))
    )
    store.add(
        *(_adapter(version, say) for version in (0, 1, 2)),
        dialogue(
            status="finished", stop_reason=say("stop"), final_turn_id="t5", started_at=STARTED, error=say("error")
        ),
        *_turns(say),
        verdict(),
        ballot(),
        ballot(turn_id="t3", forward=False, p_first=0.6),
        CritiqueRow(
            turn_id="t4",
            target_turn_id="t0",
            works=say("works"),
            missing=say("missing"),
            suggestion=say("suggestion"),
            parse_ok=True,
        ),
        preference(verdict_id="v1"),
        training(status="finished", finished_at=now(), metrics={"steps": 2, "final_loss": 0.5}),
        TrainingItem(id="i1", training_id="x1", run_id="RUN1", position=0, preference_id="p1"),
        *(TrainingMetric(training_id="x1", step=step, values={"loss": 1.0 / step}) for step in (1, 2)),
        PromptRow(hash="m1", messages=[{"role": "user", "content": say("request")}]),
        LLMCall(
            run_id="RUN1",
            key="k1",
            role="critic",
            model=say("model"),
            prompt_hash="m1",
            request={"seed": 1},
            reply={"text": say("reply"), "usage": {"input": 5, "output": 7}, "raw": {"it": say("raw")}},
            reply_hash="h",
        ),
        Annotation(
            id="a1",
            run_id="RUN1",
            dialogue_id="d1",
            turn_id="t0",
            name=say("remark"),
            label=say("label"),
            explanation=say("explanation"),
            author=say("author"),
        ),
        Annotation(id="a2", run_id="RUN1", dialogue_id="d1", name="tag", label=say("tag"), author="Ann"),
    )
    for version in (0, 2):
        _evaluate(store, version, say)


def held(*numbers: int, **values: Any) -> list[ExampleRow | Dialogue]:
    """Further dialogues of the run, each about an input of its own, begun so many seconds later."""
    rows: list[ExampleRow | Dialogue] = []
    for number in numbers:
        rows.append(example(id=f"in-{number:03}", text=f"input {number}"))
        own = {"id": f"more-{number:03}", "example_id": f"in-{number:03}", "status": "finished"}
        rows.append(dialogue(**own | {"started_at": STARTED + timedelta(seconds=number)} | values))
    return rows


def _run(say: Say) -> Run:
    return run(
        name=say("run name"),
        task=say("task"),
        status="finished",
        finished_at=now(),
        cast={"teacher": say("teacher"), "critic": "c", "judge": "j", "simulated": False},
        arguments=[say("argument")],
        error=say("run error"),
        config={"student": {"model": say("student")}},
        packages={"torch": say("package")},
    )


def _adapter(version: int, say: Say) -> Adapter:
    return Adapter(
        id=f"adapter{version}",
        run_id="RUN1",
        version=version,
        stage="base" if version == 0 else "imitation" if version == 1 else "round",
        round=max(0, version - 1),
        parent_version=version - 1 if version else None,
        base_model=say("base model"),
        uri=say("uri") if version else None,
        training_id="x1" if version == 2 else None,
        status="promoted",
        reason=say("reason"),
    )


def _turns(say: Say) -> list[Any]:
    student: dict[str, Any] = {"adapter_version": 1}
    critic: dict[str, Any] = {
        "agent": Agent.CRITIC,
        "model": say("model"),
        "model_resolved": say("model"),
        "template_hash": "h1",
    }
    return [
        turn(0, content=say("draft"), note=say("note"), **student),
        turn(1, content=say("other draft"), **student),
        turn(2, kind=TurnKind.VERDICT, content=say("verdict"), request_key="k1", prompt_hash="m1", **critic),
        turn(3, kind=TurnKind.VERDICT, content=say("verdict"), **critic),
        turn(4, kind=TurnKind.CRITIQUE, content=say("critique"), parent_turn_id="t0", **critic),
        turn(5, kind=TurnKind.REVISION, content=say("draft") + say(" revised"), parent_turn_id="t0", **student),
    ]


def _evaluate(store: Store, version: int, say: Say) -> None:
    """Adapter 2 wins where 0 loses, but on the last input, where both win."""
    evaluation = f"evaluation{version}"
    store.add(
        Evaluation(
            id=evaluation,
            run_id="RUN1",
            adapter_version=version,
            split=Split.TEST,
            status="finished",
            summary=SUMMARY,
        )
    )
    for number in range(3):
        name = f"{version}-{number}"
        outcome: Any = "win" if version == 2 or number == 2 else "loss"
        of_dialogue = {"dialogue_id": f"judged-{name}"}
        if version == 0:
            store.add(example(id=f"test{number}", text=say("input") + str(number)))
        store.add(
            dialogue(
                id=f"judged-{name}",
                stage=Stage.EVALUATE,
                round=version,
                example_id=f"test{number}",
                status="finished",
                started_at=STARTED + timedelta(hours=1),
            ),
            turn(0, id=f"output-{name}", content=say("output") + name, adapter_version=version, **of_dialogue),
            turn(1, id=f"reference-{name}", agent=Agent.TEACHER, content=say("reference"), **of_dialogue),
            turn(2, id=f"forward-{name}", agent=Agent.JUDGE, kind=TurnKind.VERDICT, **of_dialogue),
            turn(3, id=f"reverse-{name}", agent=Agent.JUDGE, kind=TurnKind.VERDICT, **of_dialogue),
            verdict(
                id=f"verdict-{name}",
                agent="judge",
                first_turn_id=f"output-{name}",
                second_turn_id=f"reference-{name}",
                forward_turn_id=f"forward-{name}",
                reverse_turn_id=f"reverse-{name}",
                outcome=outcome,
                **of_dialogue,
            ),
            EvaluationItem(
                evaluation_id=evaluation,
                example_id=f"test{number}",
                output_turn_id=f"output-{name}",
                reference_turn_id=f"reference-{name}",
                verdict_id=f"verdict-{name}",
                outcome=outcome,
                length_ratio=1.0,
            ),
        )
