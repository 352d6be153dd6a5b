"""What a training learns from: which preferences, in what form, and never one twice."""

import asyncio
from typing import Any

import pytest

from openmic.core.ids import content_hash
from openmic.core.records import Agent, Message, Stage, TurnKind
from openmic.graph.context.run_context import RunContext
from openmic.graph.training_data.assemble import (
    PhaseData,
    TrainingData,
    consumed_data,
    feedback_examples,
    new_data,
    wants_teacher_pairs,
)
from openmic.store import Dialogue, Preference, PromptRow, Store, Training, TrainingItem, Turn
from openmic.store.tables.transcript import DialogueStatus

from ..conftest import Bench, Prepare, ScriptedPool, example_of

INPUT = example_of("The kettle in our kitchen broke again this morning.")

ASKED = PromptRow.of([Message(role="user", content="The critic says: funnier.")])
"""What the student was asked when it wrote the revision."""


def add_dialogue(store: Store, identity: str, stage: Stage, texts: dict[str, TurnKind], status: DialogueStatus) -> None:
    store.add(
        Dialogue(id=identity, run_id="RUN1", stage=stage, round=1, example_id=INPUT.id, status=status),
        *(
            Turn(
                id=text,
                run_id="RUN1",
                dialogue_id=identity,
                seq=seq,
                agent=Agent.TEACHER if kind is TurnKind.DEMONSTRATION else Agent.STUDENT,
                kind=kind,
                content=f"text {text}",
                content_hash=content_hash(text),
                model="m",
                finish_reason="length" if text == "x" else "stop",
                prompt_hash=ASKED.hash if text == "r" else None,
            )
            for seq, (text, kind) in enumerate(texts.items())
        ),
    )


def prefer(store: Store, chosen: str, rejected: str, dialogue: str = "session", **values: Any) -> None:
    defaults: dict[str, Any] = {"source": "candidates", "margin": 0.5, "length_ratio": 1.0}
    store.add(
        Preference(
            id=f"{chosen}>{rejected}",
            run_id="RUN1",
            round=1,
            dialogue_id=dialogue,
            example_id=INPUT.id,
            chosen_turn_id=chosen,
            rejected_turn_id=rejected,
            **defaults | values,
        )
    )


@pytest.fixture
def stage(prepare: Prepare, store: Store) -> Bench:
    return filled(prepare, store)


def filled(prepare: Prepare, store: Store, **sections: Any) -> Bench:
    """A run with two demonstrations that were compared, and a dialogue with two drafts, a revision and a fallback.

    A third draft, x, was cut off and turned away by a gate.
    """
    stage = prepare([INPUT], **sections)
    store.add(ASKED)
    demonstration = TurnKind.DEMONSTRATION
    add_dialogue(store, "shown", Stage.DEMONSTRATE, {"t1": demonstration, "t2": demonstration}, "finished")
    draft, revision = TurnKind.DRAFT, TurnKind.REVISION
    session = {"a": draft, "b": draft, "r": revision, "t3": demonstration, "x": draft}
    add_dialogue(store, "session", Stage.COLLECT, session, "finished")
    prefer(store, "a", "b")
    prefer(store, "r", "a", source="revision", margin=0.3)
    prefer(store, "t3", "a", source="teacher", margin=0.0)
    prefer(store, "t2", "t1", "shown", source="teacher_pair")
    prefer(store, "a", "x", source="gate", margin=0.0, length_ratio=0.1)
    return stage


def material_of(stage: Bench) -> TrainingData:
    found: TrainingData = ask(stage, lambda context: new_data(context, "RUN1", 1))
    return found


def ask(stage: Bench, question: Any) -> Any:
    async def act(context: RunContext) -> Any:
        await asyncio.sleep(0)
        return question(context)

    return stage.play(ScriptedPool([]), act)


def learned(stage: Bench, objective: str) -> dict[str, list[tuple[tuple[str, ...], str | None]]]:
    """By phase the texts of each example, the best first, and its target."""
    found: list[PhaseData] = ask(stage, lambda c: feedback_examples(c, objective, new_data(c, "RUN1", 1)))
    return {
        phase.objective: [
            (tuple(text.removeprefix("text ") for text in one.example.completions), one.example.target)
            for one in phase.examples
        ]
        for phase in found
    }


def ids(material: TrainingData) -> list[str]:
    return [row.id for row in material.preferences]


def test_by_default_candidates_and_revisions_are_learned_from(stage: Bench) -> None:
    assert ids(material_of(stage)) == ["a>b", "r>a"]


@pytest.mark.parametrize(
    ("switches", "kept"),
    [
        ({"candidates": False}, ["r>a"]),
        ({"revisions": False}, ["a>b"]),
        ({"teacher_over_student": True}, ["a>b", "r>a", "t3>a"]),
        ({"teacher_pairs": True}, ["a>b", "r>a", "t2>t1"]),
        ({"valid_over_invalid": True}, ["a>b", "r>a", "a>x"]),
    ],
)
def test_each_kind_of_preference_can_be_switched(
    prepare: Prepare, store: Store, switches: dict[str, bool], kept: list[str]
) -> None:
    assert ids(material_of(filled(prepare, store, preferences=switches))) == kept


def test_pairs_outside_the_length_filter_are_left_out(prepare: Prepare, store: Store) -> None:
    stage = filled(prepare, store, preferences={"length_ratio": [0.8, 1.2]})
    add_dialogue(store, "long", Stage.EVALUATE, {"v": TurnKind.DRAFT, "y": TurnKind.DRAFT}, "finished")
    prefer(store, "v", "y", "long", length_ratio=1.3)
    assert ids(material_of(stage)) == ["a>b", "r>a"]


def test_a_dialogue_that_goes_on_is_not_learned_from_yet(stage: Bench, store: Store) -> None:
    add_dialogue(store, "open", Stage.EVALUATE, {"v": TurnKind.DRAFT, "y": TurnKind.DRAFT}, "pending")
    prefer(store, "v", "y", "open")
    assert ids(material_of(stage)) == ["a>b", "r>a"]
    store.update(Dialogue, "open", status="finished")
    assert ids(material_of(stage)) == ["a>b", "r>a", "v>y"]


def test_what_was_learned_from_is_not_learned_from_again_and_is_found_as_it_was(stage: Bench, store: Store) -> None:
    training = Training(
        id="T",
        run_id="RUN1",
        stage="round",
        round=1,
        objective="dpo",
        parent_version=1,
        adapter_version=2,
        seed=1,
        examples=1,
    )
    item = TrainingItem(id="i", training_id="T", run_id="RUN1", position=0, preference_id="r>a")
    store.add(training, item)
    begun = store.get(Training, "T")
    assert begun is not None
    assert ids(material_of(stage)) == ["a>b"]
    assert ids(ask(stage, lambda context: consumed_data(context, begun))) == ["r>a"]


def test_pairs_rankings_and_chosen_texts(stage: Bench) -> None:
    assert learned(stage, "dpo") == {"dpo": [(("a", "b"), None), (("r", "a"), None)]}
    assert learned(stage, "brio") == {"brio": [(("r", "a", "b"), "text t1")]}
    assert learned(stage, "sd") == {"sd": [(("r",), None)]}


def test_imitation_goes_on_with_every_text_of_the_teachers(stage: Bench) -> None:
    assert learned(stage, "sft") == {"sft": [(("t1",), None), (("t2",), None), (("t3",), None)]}


def test_the_teachers_pairs_come_before_the_students(prepare: Prepare, store: Store) -> None:
    stage = filled(prepare, store, training={"objective": "brio-dpo"})
    assert ask(stage, lambda context: wants_teacher_pairs(context.config))
    assert learned(stage, "brio-dpo") == {
        "brio": [(("t2", "t1"), "text t1")],
        "dpo": [(("a", "b"), None), (("r", "a"), None)],
    }


@pytest.mark.parametrize(
    ("answers", "dpo", "brio", "sd"),
    [
        ("input", ["ab", "ra"], ["rab"], ["r"]),
        ("critique", ["ab", "ra"], ["ab", "ra"], ["a", "r"]),
        ("both", ["ab", "ra", "ra"], ["rab", "ra"], ["r", "r"]),
    ],
)
def test_a_revision_is_learned_as_an_answer_to_the_input_or_to_the_critique_of_its_draft(
    prepare: Prepare, store: Store, answers: str, dpo: list[str], brio: list[str], sd: list[str]
) -> None:
    stage = filled(prepare, store, preferences={"revisions_answer": answers})
    expected = {"dpo": dpo, "brio": brio, "sd": sd}
    for objective, texts in expected.items():
        [phase] = ask(stage, lambda c, name=objective: feedback_examples(c, name, new_data(c, "RUN1", 1)))
        examples = [one.example for one in phase.examples]
        assert ["".join(text.removeprefix("text ") for text in one.completions) for one in examples] == texts
        asked = [one.messages[-1].content for one in examples]
        revising = ASKED.messages[-1]["content"]
        assert (asked[-1] == revising) is (answers != "input")
        assert [content == revising for content in asked[:-1]] == [False] * (len(texts) - 1)
        assert len({one.id for one in examples}) == len(examples)


def test_a_text_that_was_cut_off_is_learned_without_an_end(prepare: Prepare, store: Store) -> None:
    stage = filled(prepare, store, preferences={"valid_over_invalid": True})
    [phase] = ask(stage, lambda c: feedback_examples(c, "dpo", new_data(c, "RUN1", 1)))
    assert [one.example.unfinished for one in phase.examples] == [(), (), (1,)]
