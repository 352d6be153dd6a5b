from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.graph.preflight.estimate import sizing_of
from openmic.graph.preflight.forecast import forecast_of
from openmic.store import Store

from ...store.rows import START, dialogue, example, run, training, turn

OPENAI = {"model": "gpt-4.1-mini", "base_url": "https://api.openai.com/v1"}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.txt"
    path.write_text("\n".join(f"I lost umbrella number {number} on the train." for number in range(40)))
    return path


@pytest.fixture
def config(inputs: Path, tmp_path: Path) -> RunConfig:
    return config_of(inputs, tmp_path)


def config_of(inputs: Path, home: Path, **sections: Any) -> RunConfig:
    student = {"device": "cpu"} | sections.pop("student", {})
    return RunConfig.model_validate({"inputs": {"path": inputs}, "home": home, "student": student, **sections})


def foreseen(
    config: RunConfig, *, as_if: int | None = None, source: str | None = None, **given: float
) -> dict[str, Any]:
    named = {name.replace("__", "."): value for name, value in given.items()}
    return forecast_of(config, sizing_of(config, as_if=as_if), named, source=source)


def stage(found: dict[str, Any], name: str) -> dict[str, Any]:
    [one] = [each for each in found["stages"] if each["stage"] == name]
    return dict(one)


def test_a_length_that_is_open_is_taken_for_some_tokens(config: RunConfig, inputs: Path, tmp_path: Path) -> None:
    assert config.student.sampling.max_tokens == 0
    said = config_of(inputs, tmp_path, student={"sampling": {"max_tokens": 128}})
    known, open_yet = (foreseen(each)["figures"]["student.output_tokens"] for each in (said, config))
    assert open_yet == known
    assert open_yet["value"] == 64


def test_stages_are_those_of_the_run_and_computed_by_hand(config: RunConfig) -> None:
    found = foreseen(
        config, student__tokens_per_s=100, student__output_tokens=20, driver__ms_per_reply=1, critic__latency_s=2
    )
    assert [each["stage"] for each in found["stages"]] == [
        "demonstrate", "imitate", "collect", "fine-tune", "evaluate (dev)", "evaluate (test)",
    ]  # fmt: skip
    # 24 train inputs of 40, 6 drafts and a revision of each, 20 tokens of a text at 100 a second
    assert stage(found, "collect")["bounds"]["student"] == pytest.approx(24 * 7 * 20 / 100)
    # two comparisons in both orders and a critique of each input, 16 at once
    assert stage(found, "collect")["bounds"]["critic.max_concurrency"] == pytest.approx(24 * 5 / 16 * 2, rel=0.001)
    # 24 inputs have room on 32 places: a comparison, a critique and another comparison are waited for, and half a
    # demonstration of the simulated teacher's; 7 texts of the student, and 12.5 replies that the driver handles
    assert stage(found, "collect")["bounds"]["places"] == pytest.approx(3 * 2 + 0.5 * 0.03 + 1.4 + 0.0125, rel=0.001)
    assert (found["bound"], stage(found, "collect")["bound"]) == ("student", "student")
    assert found["why"] == "the student: 1 actor of 100 tokens/s (student.pool.actors)"
    assert found["seconds"] == pytest.approx(sum(each["seconds"] for each in found["stages"]), rel=0.001)
    assert (found["usd"], found["actor_hours"]) == (0, pytest.approx(found["seconds"] / 3600, rel=0.001))


def test_what_is_assumed_is_said_and_given_figures_take_its_place(config: RunConfig) -> None:
    found = foreseen(config)
    assert {name.rpartition(".")[2] for name in found["figures"]} >= {"tokens_per_s", "latency_s", "turns_per_s"}
    assert all(figure["source"].startswith("assumed: ") for figure in found["figures"].values())
    given = foreseen(config, critic__latency_s=60)
    assert given["figures"]["critic.latency_s"] == {"value": 60, "source": "given"}
    assert given["bound"].startswith("critic") or given["bound"] == "places"
    assert given["seconds"] > found["seconds"]


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_figure_that_nothing_can_be_reckoned_with_is_refused(config: RunConfig, value: float) -> None:
    with pytest.raises(ConfigError, match=r"critic\.latency_s must be a number above zero"):
        foreseen(config, critic__latency_s=value)


def test_a_figure_that_does_not_exist_is_refused_and_those_that_do_are_named(config: RunConfig) -> None:
    with pytest.raises(ConfigError, match=r"called 'student.speed'; there are student.tokens_per_s, "):
        foreseen(config, student__speed=1)


def test_limits_of_an_endpoint_bound_what_asks_it(inputs: Path, tmp_path: Path) -> None:
    slow = {**OPENAI, "requests_per_minute": 30}
    found = foreseen(config_of(inputs, tmp_path, cast={"critic": slow, "judge": {"model": "simulated"}}))
    collect = stage(found, "collect")
    assert collect["bound"] == "critic.requests_per_minute"
    assert collect["seconds"] == pytest.approx(60 * (24 * 5 / 30 - 1), rel=0.001)
    assert found["why"] == "the critic: cast.critic.requests_per_minute=30"
    assert found["usd"] > 0


def test_a_thousand_times_the_inputs_take_about_a_thousand_times_as_long(config: RunConfig) -> None:
    hundreds, millions = (foreseen(config, as_if=number) for number in (1_000, 1_000_000))
    assert millions["seconds"] == pytest.approx(1000 * hundreds["seconds"], rel=0.05)
    assert millions["turns"] == pytest.approx(1000 * hundreds["turns"], rel=0.01)
    assert millions["store_bytes"] == pytest.approx(1700 * millions["turns"], rel=0.01)


@pytest.mark.parametrize("objective", ["sft", "sd", "dpo", "simpo", "kto", "brio", "brio-dpo"])
@pytest.mark.parametrize("selection", ["most_different", "tournament"])
def test_every_objective_and_selection_has_a_forecast(
    inputs: Path, tmp_path: Path, objective: str, selection: str
) -> None:
    config = config_of(inputs, tmp_path, training={"objective": objective}, dialogue={"selection": selection})
    assert stage(foreseen(config), "fine-tune")["bound"] == "trainer"


def test_a_run_without_endpoints_or_rounds_has_one_too(inputs: Path, tmp_path: Path) -> None:
    plugs = {"teacher": {"use": "given:teacher"}, "critic": {"use": "length"}}
    found = foreseen(config_of(inputs, tmp_path, cast=plugs))
    assert stage(found, "collect")["bound"] == "student"
    assert "critic.latency_s" not in found["figures"]
    without = foreseen(config_of(inputs, tmp_path, rounds=0))
    assert [each["stage"] for each in without["stages"]] == ["demonstrate", "imitate", "evaluate (test)"]


def test_a_jury_is_waited_for_together_and_judges_by_itself(inputs: Path, tmp_path: Path) -> None:
    jury = config_of(inputs, tmp_path, cast={"jury": [{"model": "simulated"}]})
    found = foreseen(jury, jury__0__latency_s=5, critic__latency_s=1)
    assert found["figures"]["jury.0.latency_s"]["value"] == 5
    bounds = stage(found, "collect")["bounds"]
    assert bounds["jury.0.max_concurrency"] == pytest.approx(24 * 4 / 16 * 5, rel=0.001)
    assert bounds["places"] > 2 * 5 + 1


def test_training_beside_the_dialogues_takes_no_time_of_its_own(inputs: Path, tmp_path: Path) -> None:
    apart, beside = (
        foreseen(config_of(inputs, tmp_path, training={"train_every": 8, "overlap": overlap}))
        for overlap in ("never", "always")
    )
    assert stage(apart, "fine-tune")["seconds"] > 0 == stage(beside, "fine-tune")["seconds"]
    assert "trainer" in stage(beside, "collect")["bounds"]
    assert beside["seconds"] < apart["seconds"]


def earlier(config: RunConfig, run_id: str, tokens: int, at: int, **values: Any) -> list[Any]:
    """A run that wrote thirty texts of so many tokens, each in a second, one after the other."""
    begun = START.replace(year=2020 + at)
    said = [
        turn(
            place,
            id=f"{run_id}t{place}",
            run_id=run_id,
            dialogue_id=f"{run_id}d",
            latency_ms=1000.0,
            output_tokens=tokens,
        )
        for place in range(30)
    ]
    return [
        run(id=run_id, config=config.model_dump(mode="json") | values, created_at=begun),
        dialogue(id=f"{run_id}d", run_id=run_id),
        *[row.model_copy(update={"created_at": begun.replace(second=place)}) for place, row in enumerate(said)],
        training(id=f"{run_id}x", run_id=run_id, status="finished", metrics={"tokens": 10 * tokens, "seconds": 1.0}),
    ]


def test_an_earlier_run_with_the_same_student_says_how_fast_it_is(config: RunConfig) -> None:
    with Store.open(config.store_url) as store:
        store.add(example())
        store.add(*earlier(config, "OLD", 50, 0))
        store.add(*earlier(config, "NEW", 70, 1))
        other = config.model_dump(mode="json")["student"] | {"model": "another"}
        store.add(*earlier(config, "OTHER", 90, 2, student=other))
        store.add(*earlier(config, "UNREADABLE", 90, 3, no_such_key=1))
    figures = foreseen(config)["figures"]
    assert figures["student.tokens_per_s"] == {
        "value": pytest.approx(70), "source": "measured in run NEW, 1 requests at once",
    }  # fmt: skip
    assert figures["student.output_tokens"] == {"value": 70, "source": "measured in run NEW"}
    assert figures["training.dpo.tokens_per_s"] == {"value": 700, "source": "measured in run NEW"}
    assert figures["training.sft.tokens_per_s"]["source"].startswith("assumed: ")
    assert foreseen(config, source="OLD")["figures"]["student.tokens_per_s"]["value"] == pytest.approx(50)
    assert foreseen(config, student__tokens_per_s=8)["figures"]["student.tokens_per_s"]["source"] == "given"


def test_a_store_that_is_none_says_nothing(config: RunConfig) -> None:
    Path(config.store_url).write_text("no database")
    assert foreseen(config)["figures"]["student.tokens_per_s"]["source"].startswith("assumed")
