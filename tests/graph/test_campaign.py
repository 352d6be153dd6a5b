"""The campaign's edges, and its whole way with the steps replaced by ones that only write down what they did."""

from typing import Any

import pytest
from langgraph.runtime import Runtime

from openmic.core.ids import derive_id
from openmic.core.records import Split
from openmic.graph.campaign import (
    CampaignState,
    after_evaluate,
    after_fine_tune,
    another_round,
    build_campaign_graph,
)
from openmic.graph.context.run_context import RunContext
from openmic.graph.stages import collect as collecting
from openmic.graph.stages import demonstrate as demonstrating
from openmic.graph.stages import evaluate as evaluating
from openmic.graph.stages import fine_tune as fine_tuning
from openmic.graph.stages import promotion
from openmic.graph.stages.promotion import Decision
from openmic.store import Adapter, Store

from .conftest import Bench, Prepare, ScriptedPool


def runtime(stage: Bench) -> Runtime[RunContext]:
    return Runtime(context=stage.context(ScriptedPool([]), None))  # type: ignore[arg-type] # no edge asks a model


@pytest.mark.parametrize(("promoted", "following"), [(True, "promote"), (False, "roll_back")])
def test_the_gate_s_decision_is_followed(prepare: Prepare, promoted: bool, following: str) -> None:
    assert after_evaluate(CampaignState(decision=Decision(promoted, "why")), runtime(prepare())) == following


@pytest.mark.parametrize(
    ("candidate", "number", "following"), [(2, 1, "evaluate"), (None, 1, "collect"), (None, 2, "report")]
)
def test_a_round_that_left_nothing_to_train_on_is_over(
    prepare: Prepare, candidate: int | None, number: int, following: str
) -> None:
    state = CampaignState(candidate=candidate, round=number)
    assert after_fine_tune(state, runtime(prepare(rounds=2))) == following


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_rounds_are_held_as_configured(prepare: Prepare, rounds: int) -> None:
    use = runtime(prepare(rounds=rounds))
    following = [another_round(CampaignState(round=number), use) for number in range(4)]
    assert following == ["collect" if number < rounds else "report" for number in range(4)]


def carry_out(
    stage: Bench,
    monkeypatch: pytest.MonkeyPatch,
    decisions: list[Decision | None],
    *,
    killed_after: int | None = None,
) -> list[tuple[Any, ...]]:
    """The steps in order; `decisions` are the gate's, round by round, None for a round without a candidate."""
    done: list[tuple[Any, ...]] = []

    def register(context: RunContext, version: int) -> int:
        identity = derive_id(context.run.id, "adapter", version)
        context.store.add_new(
            Adapter(
                id=identity,
                run_id="RUN1",
                version=version,
                stage="imitation" if version == 1 else "round",
                round=version - 1,
                base_model="tiny",
            )
        )
        return version

    async def demonstrate_all(context: RunContext) -> None:
        done.append(("demonstrate",))

    async def imitate(context: RunContext) -> int:
        done.append(("imitate",))
        return register(context, 1)

    async def collect(context: RunContext, number: int) -> None:
        done.append(("collect", number, context.promoted_version))

    async def train_candidate(context: RunContext, number: int) -> int | None:
        if promotion.round_is_over(context, number):
            return None
        done.append(("train", number, context.promoted_version))
        return register(context, 1 + number) if decisions[number - 1] is not None else None

    async def judge_candidate(context: RunContext, candidate: int) -> Decision:
        done.append(("judge", context.promoted_version, candidate))
        decision = decisions[candidate - 2]
        assert decision is not None
        return decision

    async def evaluate(context: RunContext, version: int, split: Split) -> list[Any]:
        done.append(("evaluate", version, split.value))
        return []

    def killing(step: Any) -> Any:
        async def counted(*arguments: Any) -> Any:
            found = await step(*arguments)
            if killed_after is not None and len(done) > killed_after:
                raise KilledError
            return found

        return counted

    for module, step in (
        (demonstrating, demonstrate_all),
        (fine_tuning, imitate),
        (collecting, collect),
        (promotion, train_candidate),
        (promotion, judge_candidate),
        (evaluating, evaluate),
    ):
        monkeypatch.setattr(module, step.__name__, killing(step))

    async def act(context: RunContext) -> None:
        await build_campaign_graph().ainvoke(CampaignState(), context=context)

    stage.play(ScriptedPool([]), act)
    return done


BETTER, WORSE = Decision(True, "better"), Decision(False, "worse")


def test_a_promoted_adapter_serves_the_next_round(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = carry_out(prepare(rounds=2), monkeypatch, [BETTER, BETTER])
    assert done == [
        ("demonstrate",),
        ("imitate",),
        ("collect", 1, 1),
        ("train", 1, 1),
        ("judge", 1, 2),
        ("collect", 2, 2),
        ("train", 2, 2),
        ("judge", 2, 3),
        *(("evaluate", version, "test") for version in range(4)),
    ]
    assert [row.status for row in store.select(Adapter, order_by="version")] == ["promoted"] * 4


def test_after_a_roll_back_the_adapter_before_goes_on_serving_and_the_reason_is_kept(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = carry_out(prepare(rounds=2), monkeypatch, [WORSE, BETTER])
    assert ("collect", 2, 1) in done
    assert ("train", 2, 1) in done
    rows = store.select(Adapter, order_by="version")
    assert [row.status for row in rows] == ["promoted", "promoted", "rolled_back", "promoted"]
    assert [row.reason for row in rows[2:]] == ["worse", "better"]
    assert all(row.decided_at is not None for row in rows[1:])


def test_a_round_without_a_candidate_goes_over_to_the_next(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    done = carry_out(prepare(rounds=2), monkeypatch, [None, BETTER])
    assert [step for step in done if step[0] in ("collect", "judge")] == [
        ("collect", 1, 1),
        ("collect", 2, 1),
        ("judge", 1, 3),
    ]


def test_without_rounds_imitation_is_all(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    done = carry_out(prepare(rounds=0), monkeypatch, [])
    assert done == [("demonstrate",), ("imitate",), ("evaluate", 0, "test"), ("evaluate", 1, "test")]


# Taken up again


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("killed_after", range(9))
def test_a_campaign_that_ends_anywhere_goes_on_from_the_store_alone(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    stage = prepare(rounds=2)
    with pytest.raises(KilledError):
        carry_out(stage, monkeypatch, [BETTER, BETTER], killed_after=killed_after)
    done = carry_out(stage, monkeypatch, [BETTER, BETTER])
    assert [step for step in done if step[0] == "imitate"] == [("imitate",)]
    assert [(row.version, row.stage, row.status) for row in store.select(Adapter, order_by="version")] == [
        (0, "base", "promoted"),
        (1, "imitation", "promoted"),
        (2, "round", "promoted"),
        (3, "round", "promoted"),
    ]
    assert done[-4:] == [("evaluate", version, "test") for version in range(4)]


def test_what_is_over_is_not_gone_into_again(prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = prepare(rounds=2)
    carry_out(stage, monkeypatch, [BETTER, WORSE])
    before = store.select(Adapter, order_by="version")
    done = carry_out(stage, monkeypatch, [BETTER, WORSE])
    assert [step[0] for step in done if step[0] != "evaluate"] == ["imitate"]  # which finds its adapter
    assert store.select(Adapter, order_by="version") == before
