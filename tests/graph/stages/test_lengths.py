"""How long the student's texts may be is settled by what it is shown, where nobody said it."""

from pathlib import Path

import pytest

from openmic.core.config import saved_config
from openmic.core.records import MOST_SETTLED, UNSETTLED, GenerationRequest, Split, StudentSampling
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages.demonstrate import demonstrate_all, demonstrations
from openmic.graph.stages.lengths import LEAST, ROOM, fitting_length, settle_lengths
from openmic.store import Run, Store
from openmic.training.student.student import student_elsewhere

from ..conftest import Bench, ScriptedPool, Serve, example_of, open_config


@pytest.mark.parametrize(
    ("texts", "least", "most"),
    [
        (["a"], LEAST, LEAST),
        ([""], LEAST, LEAST),
        (["a b c d e f g h i j k l m n o p q r s t u v w x y z"], 33, 80),
        (["a b c"] * 99 + ["a b c " * 400], LEAST, LEAST),  # one in a hundred is cut off
        (["漫才は楽しい " * 4, "🎭🎤" * 8], LEAST, 512),
        (["word " * 5000], 128, MOST_SETTLED),
    ],
)
def test_nearly_all_that_is_shown_fits_with_room_and_within_the_student(
    tiny_causal: Path, texts: list[str], least: int, most: int
) -> None:
    student = student_elsewhere(str(tiny_causal))
    found = fitting_length(student, texts)
    assert least <= found <= most
    counts = sorted(len(student.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
    assert found >= min(MOST_SETTLED, ROOM * counts[int(0.95 * (len(counts) - 1))])
    assert fitting_length(student, texts, 25) <= 25
    assert fitting_length(student, texts, -100) == LEAST


def test_what_is_set_stays_and_what_is_open_is_settled_alone() -> None:
    config = open_config(student={"sampling": {"max_tokens": 24}}, evaluation={"sampling": {"top_p": 1.0}})
    assert config.open_lengths == ["evaluation.sampling.max_tokens"]
    settled = config.settled(40)
    assert (settled.student.sampling.max_tokens, settled.evaluation.sampling.max_tokens) == (24, 40)
    assert settled.evaluation.sampling.temperature == 0.7
    assert settled.settled(99) == settled
    assert open_config().settled().student.sampling.max_tokens == UNSETTLED


def test_nothing_is_asked_of_the_student_before() -> None:
    with pytest.raises(ValueError, match="not settled"):
        GenerationRequest("r", (), open_config().student.sampling, 1, 0)
    assert GenerationRequest("r", (), StudentSampling(), 1, 0).sampling.max_tokens == 128


def test_a_run_settles_it_once_its_demonstrations_are_there_and_keeps_it(
    store: Store, tmp_path: Path, serve: Serve, tiny_causal: Path
) -> None:
    config = open_config(
        student={"model": str(tiny_causal), "sampling": {"temperature": 0.5}}, imitation={"demonstrations": 3}
    )
    examples = [example_of(f"The neighbour borrowed ladder number {number}.") for number in range(4)]
    stage = Bench(store, tmp_path, config, examples, serve())

    async def act(context: RunContext) -> None:
        await demonstrate_all(context)
        await settle_lengths(context)
        found = context.config.student.sampling
        assert found.temperature == 0.5
        assert context.config.open_lengths == []
        texts = [turn.content for _, turns in demonstrations(context, Split.TRAIN) for turn in turns]
        assert found.max_tokens == fitting_length(context.student_tokens, texts)
        assert context.config.evaluation.sampling.max_tokens == found.max_tokens

    stage.play(ScriptedPool([]), act)
    run = store.get(Run, "RUN1")
    assert run is not None
    kept = saved_config(run)
    assert kept.open_lengths == []
    assert run.config["student"]["sampling"]["max_tokens"] == kept.student.sampling.max_tokens
    assert {**run.config, "student": None, "evaluation": None} == {
        **config.model_dump(mode="json"),
        "student": None,
        "evaluation": None,
    }
