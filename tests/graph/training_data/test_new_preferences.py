"""Which preferences are too far behind to be learned from."""

import pytest

from openmic.core.ids import content_hash
from openmic.core.records import Agent, Stage, TurnKind
from openmic.core.training_settings import STALENESS_TOLERANT, TrainingSettings
from openmic.graph.context.objective import max_staleness
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.run_context import RunContext
from openmic.graph.training_data.assemble import new_preferences
from openmic.store import Adapter, Dialogue, Preference, Store, Turn
from openmic.store.tables.training import AdapterStatus
from openmic.training.objectives import (
    OBJECTIVES,
    Loss,
    Objective,
    ObjectiveSettings,
    RowLogprobs,
    objective_names,
    phases,
)

from ..conftest import Prepare, ScriptedPool, example_of

INPUT = example_of("The kettle in our kitchen broke again this morning.")


@pytest.mark.parametrize("name", objective_names())
def test_by_default_objectives_that_compare_texts_learn_from_no_more_than_one_version_back(name: str) -> None:
    compares = any(OBJECTIVES[phase.objective].needs in {"pairs", "rankings", "drafts"} for phase in phases(name))

    def limit(given: int | str | None) -> int | None:
        return max_staleness(Plugs(), TrainingSettings.model_validate({"objective": name, "max_staleness": given}))

    assert limit("auto") == (1 if compares else None)
    assert (limit(3), limit(None)) == (3, None)
    assert (name in STALENESS_TOLERANT) is not compares


def test_an_objective_of_one_s_own_says_itself_whether_old_texts_are_learned_from() -> None:
    class Tolerant(Objective):
        needs = "pairs"
        staleness_tolerant = True

        def __call__(self, rows: RowLogprobs, settings: ObjectiveSettings) -> Loss:
            return Loss(-rows.chosen.mean.mean(), {})

    plugs = Plugs({"training.objective": Tolerant()})
    assert max_staleness(plugs, TrainingSettings(objective="__main__:Tolerant")) is None
    assert plugs.records["training.objective"]["staleness_tolerant"] is True


def fill(store: Store) -> None:
    """Pairs of texts by versions 1 to 3 and by the teacher; version 2 was rolled back, versions 1 and 3 served."""
    statuses: list[AdapterStatus] = ["promoted", "rolled_back", "promoted", "candidate"]
    for number, status in enumerate(statuses, start=1):
        store.add(
            Adapter(
                id=f"a{number}",
                run_id="RUN1",
                version=number,
                stage="round",
                round=1,
                base_model="tiny",
                status=status,
            )
        )
    store.add(Dialogue(id="d", run_id="RUN1", stage=Stage.COLLECT, round=1, example_id=INPUT.id, status="finished"))
    writers: dict[str, int | None] = {"base": 0, "one": 1, "three": 3, "told": None, "told too": None}
    for seq, (name, version) in enumerate(writers.items()):
        agent, kind = (Agent.TEACHER, TurnKind.DEMONSTRATION) if version is None else (Agent.STUDENT, TurnKind.DRAFT)
        store.add(
            Turn(
                id=name,
                run_id="RUN1",
                dialogue_id="d",
                seq=seq,
                agent=agent,
                kind=kind,
                content=name,
                content_hash=content_hash(name),
                model="tiny",
                adapter_version=version,
            )
        )
    pairs = {
        "old": ("base", "one"),
        "mixed": ("three", "one"),
        "teacher_fallback": ("told", "three"),
        "teacher": ("told", "told too"),
    }
    rows = [
        Preference(
            id=name,
            run_id="RUN1",
            round=1,
            dialogue_id="d",
            example_id=INPUT.id,
            chosen_turn_id=chosen,
            rejected_turn_id=rejected,
            source="candidates",
            margin=0.5,
            length_ratio=1.0,
        )
        for name, (chosen, rejected) in pairs.items()
    ]
    store.add(*rows)


@pytest.mark.parametrize(
    ("training", "kept"),
    [
        ({}, {"mixed", "teacher_fallback", "teacher"}),
        ({"objective": "sd"}, {"old", "mixed", "teacher_fallback", "teacher"}),
        ({"max_staleness": 0}, {"teacher_fallback", "teacher"}),
        ({"max_staleness": 2}, {"old", "mixed", "teacher_fallback", "teacher"}),
        ({"max_staleness": None}, {"old", "mixed", "teacher_fallback", "teacher"}),
    ],
)
def test_what_is_too_stale_is_not_learned_from(
    prepare: Prepare, store: Store, training: dict[str, object], kept: set[str]
) -> None:
    stage = prepare([INPUT], training=training)
    fill(store)

    async def act(context: RunContext) -> dict[str, int | None]:
        return {row.id: lag for row, lag in new_preferences(context, "RUN1", 3)}

    found = stage.play(ScriptedPool([]), act)
    assert set(found) == kept
    assert (found["teacher_fallback"], found["teacher"]) == (0, None)
