"""Runs that were judged on test inputs, row by row."""

from typing import Any

from openmic.core.records import Outcome, Split
from openmic.store import Adapter, Dialogue, Evaluation, EvaluationItem, Store
from openmic.store.schema import now

from .rows import dialogue, run, turn, verdict


def judged_run(store: Store, name: str, objective: str, outcomes: str, seed: int = 7, **values: Any) -> None:
    """A run whose only adapter has these outcomes on inputs `in0`, `in1`, …: w, l, or - where it was not judged."""
    config = {"student": {"model": "tiny"}, "training": {"objective": objective}, "seed": seed}
    store.add(
        run(
            id=name,
            name=f"| {name}",
            seed=seed,
            status="finished",
            config=config,
            cast={"teacher": "t", "critic": "c", "judge": "j", "simulated": False},
            **values,
        )
    )
    store.add(
        Adapter(id=f"a{name}", run_id=name, version=0, stage="base", round=0, base_model="tiny", status="promoted"),
        Evaluation(
            id=f"e{name}",
            run_id=name,
            adapter_version=0,
            split=Split.TEST,
            status="finished",
            finished_at=now(),
            summary={"n": len(outcomes), "win": 1, "tie": 0, "loss": 1, "win_tie_rate": 0.5, "ci": [0.1, 0.9]}
            | {"consistency": 1.0, "scores": {}, "length_ratio": 1.0, "distinct_2": 1.0},
        ),
    )
    for place, letter in enumerate(outcomes):
        if letter == "-":
            continue
        key = f"{name}-{place}"
        store.add(dialogue(id=key, run_id=name, stage="evaluate", example_id=f"in{place}", round=0))
        both = [turn(n, id=f"{key}-{n}", run_id=name, dialogue_id=key, content=f"{key} {n}") for n in range(4)]
        store.add(*both)
        store.update(Dialogue, key, status="finished", final_turn_id=f"{key}-0")
        ids = {"first_turn_id": f"{key}-0", "second_turn_id": f"{key}-1"}
        ends = {"forward_turn_id": f"{key}-2", "reverse_turn_id": f"{key}-3"}
        outcome: Outcome = "win" if letter == "w" else "loss"
        store.add(
            verdict(id=f"v{key}", run_id=name, dialogue_id=key, agent="judge", outcome=outcome, **ids, **ends),
            EvaluationItem(
                evaluation_id=f"e{name}",
                example_id=f"in{place}",
                output_turn_id=f"{key}-0",
                reference_turn_id=f"{key}-1",
                verdict_id=f"v{key}",
                outcome=outcome,
                length_ratio=1.0,
            ),
        )
