"""Evaluation of one version with scorers: a real store, the simulated cast, a scripted student."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from openmic.core.errors import ConfigError, EndpointError
from openmic.core.records import Input, JudgedOutput, Split, Stage, TurnKind
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.progress import Silent
from openmic.graph.context.run_context import RunContext
from openmic.graph.preflight.objects import try_plugs
from openmic.graph.stages import promotion
from openmic.graph.stages.demonstrate import demonstrate_all
from openmic.graph.stages.evaluate import evaluate
from openmic.simulator.rubrics import SimulatedRubric
from openmic.store import Dialogue, Evaluation, EvaluationItem, Preference, Store, Turn, VerdictRow

from ..conftest import Bench, Heard, Prepare, ScriptedPool, example_of

INPUTS = [
    example_of("The kettle in our kitchen broke again this morning.", Split.TEST),
    example_of("My brother forgot our mother's birthday again.", Split.TEST),
    example_of("We waited two hours for the bus in the rain.", Split.TEST),
]
TEXT = "The kettle broke again, and the kettle has since hired a lawyer."
RUBRIC = {"use": "simulated_rubric", "kwargs": {"skill": "humor", "profile": "sim-judge"}, "name": "rubric"}


def evaluated(bench: Bench, progress: Silent | None = None) -> list[JudgedOutput]:
    async def act(context: RunContext) -> list[JudgedOutput]:
        context.progress = progress or Silent()
        promotion.record_base(context)
        with suppress(EndpointError):  # of training inputs there are none
            await demonstrate_all(context)
        return await evaluate(context, 0, Split.TEST)

    return bench.play(ScriptedPool([TEXT]), act)


def summary(store: Store) -> dict[str, Any]:
    [row] = store.select(Evaluation)
    return row.summary


def test_every_output_is_scored_by_every_scorer(prepare: Prepare, store: Store) -> None:
    bench = prepare(INPUTS, evaluation={"scorers": ["faithfulness", RUBRIC]})
    outputs = evaluated(bench)
    rubric = SimulatedRubric("humor", "sim-judge")
    texts = {example.id: example.text for example in INPUTS}
    assert len(outputs) == 3
    for output in outputs:
        assert output.scores["rubric"] == rubric(texts[output.input_id], [TEXT])[0]
        assert set(output.scores) == {"faithfulness", "rubric"}
    found = summary(store)
    assert list(found["scores"]) == ["faithfulness", "rubric"]
    assert found["shares"] == ["rubric"]
    assert found["unscored"] == {}
    assert found["scores"]["rubric"] == sum(output.scores["rubric"] for output in outputs) / 3


def test_a_scorer_that_fails_costs_its_own_scores_alone_and_is_named_once(prepare: Prepare, store: Store) -> None:
    def moody(source: Input, outputs: Sequence[str]) -> list[float]:
        if "kettle" in source:
            return [1.0]
        raise ValueError("no kettle, no score")

    bench = prepare(INPUTS, evaluation={"scorers": [{"use": "mine:moody"}, "length"]})
    bench.objects["evaluation.scorers.0"] = moody
    heard = Heard()
    outputs = evaluated(bench, heard)
    assert sorted("moody" in output.scores for output in outputs) == [False, False, True]
    assert all("length" in output.scores for output in outputs)
    assert len(store.select(EvaluationItem)) == 3
    assert summary(store)["scores"]["moody"] == 1.0
    assert summary(store)["unscored"] == {"moody": 2}
    [line] = [line for line in heard.lines if "scorer" in line]
    assert line.startswith("evaluate v0 (test): 2 outputs have no score of moody: scorer moody failed: ")
    assert "ValueError: no kettle, no score" in line


class Held:
    """A scorer that holds something; counts how often it was let go, over all of its kind."""

    closed = 0

    def __call__(self, source: Input, outputs: Sequence[str]) -> list[float]:
        return [0.5 for _ in outputs]

    def close(self) -> None:
        type(self).closed += 1


@pytest.mark.parametrize("given", [False, True])
def test_what_a_scorer_holds_is_let_go_after_each_evaluation_but_not_what_is_somebody_else_s(
    prepare: Prepare, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    monkeypatch.setattr(Held, "closed", 0)
    bench = prepare(INPUTS, evaluation={"scorers": [{"use": f"{__name__}:Held"}]})
    if given:
        bench.objects["evaluation.scorers.0"] = Held()
    evaluated(bench)
    assert Held.closed == (0 if given else 1)


@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        ("lenght", r"evaluation\.scorers\.1: there is no 'lenght'; shipped are composite, "),
        ({"use": "openmic.evaluation.scorers:best_off"}, r"evaluation\.scorers\.1: module .* has no 'best_off'"),
        (
            {"use": "simulated_rubric", "kwargs": {"skill": "sonnets"}},
            "no rubric of 'sim-judge' for 'sonnets'",
        ),
        ({"use": "json:dumps"}, r"evaluation\.scorers\.1: <function dumps .* does not take"),
        ({"use": "operator:contains", "name": "text"}, r"scorers\.1, tried on the first input: scorer text failed"),
        (
            {"use": "reward_model", "kwargs": {"model": "no/such/folder"}},
            r"evaluation\.scorers\.1, tried on the first input: reward_model: 'no/such/folder' cannot be opened",
        ),
    ],
)
def test_preflight_says_which_scorer_cannot_be_had(prepare: Prepare, scorer: Any, message: str) -> None:
    bench = prepare(INPUTS, evaluation={"scorers": ["length", scorer]})
    with pytest.raises(ConfigError, match=message):
        try_plugs(bench.config, bench.task, INPUTS[0], Plugs())


PLAIN = "The kettle broke."


def test_of_several_outputs_the_critic_s_choice_is_judged_and_nothing_is_learned_of_it(
    prepare: Prepare, store: Store
) -> None:
    bench = prepare(INPUTS[:1], evaluation={"best_of": 3})
    pool = ScriptedPool([PLAIN, TEXT, PLAIN])

    async def act(context: RunContext) -> list[JudgedOutput]:
        promotion.record_base(context)
        with suppress(EndpointError):
            await demonstrate_all(context)
        return await evaluate(context, 0, Split.TEST)

    [output] = bench.play(pool, act)
    assert output.text == TEXT
    seeds = [request.seed for request in pool.requests]
    assert len(set(seeds)) == 3
    [dialogue] = store.select(Dialogue, stage=Stage.EVALUATE)
    verdicts = store.select(VerdictRow, dialogue_id=dialogue.id)
    assert sorted((verdict.agent, verdict.source) for verdict in verdicts) == [("critic", None), ("judge", None)]
    assert store.count(Preference) == 0


def test_the_critic_s_verdict_stands_beside_the_judge_s(prepare: Prepare, store: Store) -> None:
    evaluated(prepare(INPUTS, evaluation={"critic": True}))
    items = store.select(EvaluationItem)
    assert len(items) == 3
    for item in items:
        verdict, critic = store.get(VerdictRow, item.verdict_id), store.get(VerdictRow, item.critic_verdict_id or "")
        assert verdict is not None
        assert critic is not None
        assert (verdict.agent, critic.agent, critic.source) == ("judge", "critic", None)
        assert (critic.first_turn_id, critic.second_turn_id) == (item.output_turn_id, item.reference_turn_id)


def test_the_teacher_is_judged_by_another_text_than_its_reference(prepare: Prepare, store: Store) -> None:
    outputs = evaluated(prepare(INPUTS, evaluation={"speaker": "teacher"}))
    items = store.select(EvaluationItem)
    texts = {turn.id: turn for turn in store.select(Turn, kind=TurnKind.DEMONSTRATION)}
    assert len(outputs) == len(items) == 3
    assert {texts[item.output_turn_id].agent for item in items} == {"teacher"}
    assert all(texts[item.output_turn_id].content != texts[item.reference_turn_id].content for item in items)
