"""The campaign's edges, and its whole way with the steps replaced by ones that only write down what they did."""

from typing import Any

import pytest
from langgraph.runtime import Runtime

from openmic.core.ids import derive_id
from openmic.core.records import Split
from openmic.evaluation.intervals import Interval
from openmic.graph import campaign
from openmic.graph.campaign import CampaignState, after_evaluate, another_round, build_campaign_graph
from openmic.graph.runtime import RunContext
from openmic.store import Adapter, Store

from .conftest import Prepare, ScriptedPool, Stage, example_of


def runtime(stage: Stage) -> Runtime[RunContext]:
    return Runtime(context=stage.context(ScriptedPool([]), None))  # type: ignore[arg-type] # no edge asks a model


@pytest.mark.parametrize(
    ("high", "following"),
    [(0.3, "promote"), (0.0, "promote"), (-0.05, "promote"), (-0.0501, "roll_back"), (-0.4, "roll_back")],
)
def test_only_what_is_worse_beyond_interval_and_margin_is_rolled_back(
    prepare: Prepare, high: float, following: str
) -> None:
    stage = prepare(evaluation={"rollback_margin": 0.05})
    assert after_evaluate(CampaignState(gain_high=high), runtime(stage)) == following


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_rounds_are_held_as_configured(prepare: Prepare, rounds: int) -> None:
    use = runtime(prepare(rounds=rounds))
    following = [another_round(CampaignState(round=number), use) for number in range(4)]
    assert following == ["rehearse" if number < rounds else "report" for number in range(4)]


def carry_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, gains: list[float | None], made_before: int = 0
) -> list[tuple[Any, ...]]:
    """The steps in order; `gains` are the high ends of each round's gain on dev inputs."""
    done: list[tuple[Any, ...]] = []
    highs = iter(gains)

    def register(context: RunContext, version: int) -> int:
        identity = derive_id(context.run.id, "adapter", version)
        stage_name = "imitation" if version == 1 else "round"
        context.store.add(
            Adapter(id=identity, run_id="RUN1", version=version, stage=stage_name, round=version - 1, base_model="tiny")
        )
        return version

    async def demonstrate_all(context: RunContext) -> None:
        done.append(("demonstrate",))

    async def imitate(context: RunContext) -> int:
        done.append(("imitate",))
        return register(context, 1)

    async def rehearse(context: RunContext, number: int, version: int) -> None:
        done.append(("rehearse", number, version))

    async def fine_tune(context: RunContext, number: int, parent: int) -> int:
        done.append(("fine_tune", number, parent))
        return register(context, 1 + number)

    async def evaluate(context: RunContext, version: int, split: Split) -> list[Any]:
        done.append(("evaluate", version, split.value))
        return []

    def gain(*_: Any) -> Interval | None:
        high = next(highs)
        return None if high is None else Interval(high - 0.1, high - 0.2, high)

    for name, step in (
        ("demonstrate_all", demonstrate_all),
        ("fine_tune_on_demonstrations", imitate),
        ("hold_dialogues", rehearse),
        ("fine_tune_on_feedback", fine_tune),
        ("evaluate_version", evaluate),
        ("gain", gain),
    ):
        monkeypatch.setattr(campaign, name, step)

    async def act(context: RunContext) -> None:
        await build_campaign_graph().ainvoke(CampaignState(), context=context)

    stage.play(ScriptedPool([]), act)
    return done


DEV = [example_of("A dev sentence.", Split.DEV), example_of("A train sentence.")]


def test_a_promoted_adapter_serves_the_next_round(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = carry_out(prepare(DEV, rounds=2), monkeypatch, [0.2, 0.1])
    assert done == [
        ("demonstrate",),
        ("imitate",),
        ("rehearse", 1, 1),
        ("fine_tune", 1, 1),
        ("evaluate", 1, "dev"),
        ("evaluate", 2, "dev"),
        ("rehearse", 2, 2),
        ("fine_tune", 2, 2),
        ("evaluate", 2, "dev"),
        ("evaluate", 3, "dev"),
        *(("evaluate", version, "test") for version in range(4)),
    ]
    assert [row.status for row in store.select(Adapter, order_by="version")] == ["promoted"] * 4


def test_after_a_roll_back_the_adapter_before_goes_on_serving_and_the_reason_is_kept(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = carry_out(prepare(DEV, rounds=2), monkeypatch, [-0.3, 0.1])
    assert ("rehearse", 2, 1) in done
    assert ("fine_tune", 2, 1) in done
    assert [step for step in done if step[0] == "evaluate"][2:4] == [("evaluate", 1, "dev"), ("evaluate", 3, "dev")]
    rows = store.select(Adapter, order_by="version")
    assert [row.status for row in rows] == ["promoted", "promoted", "rolled_back", "promoted"]
    assert "-0.30" in (rows[2].reason or "")
    assert "-0.05" in (rows[2].reason or "")
    assert all(row.decided_at is not None for row in rows[1:])


def test_without_dev_inputs_every_candidate_is_promoted(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    done = carry_out(prepare([example_of("A train sentence.")], rounds=1), monkeypatch, [])
    assert ("evaluate", 2, "dev") not in done
    assert done[-1] == ("evaluate", 2, "test")


def test_a_gain_that_cannot_be_told_is_no_reason_to_roll_back(
    prepare: Prepare, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out(prepare(DEV, rounds=1), monkeypatch, [None])
    assert store.select(Adapter, order_by="version")[-1].status == "promoted"


def test_without_rounds_imitation_is_all(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    done = carry_out(prepare(DEV, rounds=0), monkeypatch, [])
    assert done == [("demonstrate",), ("imitate",), ("evaluate", 0, "test"), ("evaluate", 1, "test")]
