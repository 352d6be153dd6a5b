import json
from pathlib import Path
from typing import Any

import pytest

from openmic.core.config import RunConfig
from openmic.core.errors import TaskError
from openmic.graph.preflight import estimate as estimating
from openmic.graph.preflight.estimate import budget_notes, estimate, sizing_of

OPENAI = "https://api.openai.com/v1"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "inputs.txt"
    path.write_text("\n".join(f"I lost umbrella number {number} on the train." for number in range(40)))
    return path


def config_of(inputs: Path, **sections: Any) -> RunConfig:
    return RunConfig.model_validate({"inputs": {"path": inputs}, "dialogue": {"inputs": 10}, **sections})


def estimate_of(config: RunConfig) -> dict[str, Any]:
    return estimate(config, sizing_of(config))


def test_the_most_is_what_the_plan_counts_with_the_longest_replies(inputs: Path) -> None:
    found = estimate_of(config_of(inputs))
    most, likely = found["at_most"], found["likely"]
    train, held_out = 26, 14
    assert most["roles"]["teacher"]["calls"] == train + held_out + 10
    assert most["roles"]["teacher"]["output_tokens"] == most["roles"]["teacher"]["calls"] * 400
    assert likely["roles"]["teacher"]["calls"] == train + held_out + 5
    assert most["roles"]["critic"]["calls"] == 10 * (2 * 2 + 1)
    for part in ("calls", "input_tokens", "output_tokens"):
        assert most[part] == sum(role[part] for role in most["roles"].values())
        assert 0 < likely[part] <= most[part]
    assert (most["usd"], likely["usd"]) == (0, 0)
    assert found["prices"] == ["the simulated cast is free"]


def test_labels_that_may_have_to_be_sampled_are_among_the_most_alone(inputs: Path) -> None:
    critic = {"model": "gpt-4.1-mini", "base_url": OPENAI}
    found = estimate_of(config_of(inputs, cast={"critic": critic, "judge": critic}))
    assert found["likely"]["roles"]["judge"]["calls"] * 5 == found["at_most"]["roles"]["judge"]["calls"]
    dollars = found["likely"]["roles"]["critic"]
    assert dollars["usd"] == pytest.approx((dollars["input_tokens"] * 0.4 + dollars["output_tokens"] * 1.6) / 1e6)
    assert found["likely"]["usd"] == pytest.approx(sum(role["usd"] for role in found["likely"]["roles"].values()))


MINI = {"model": "gpt-4.1-mini", "base_url": OPENAI}


def singly_and_batched(inputs: Path, **sections: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    casts = [dict.fromkeys(("teacher", "critic", "judge"), MINI | {"batch": batch}) for batch in (False, True)]
    singly, batched = (estimate_of(config_of(inputs, cast=cast, **sections)) for cast in casts)
    return singly, batched


def test_what_goes_into_batches_likely_costs_half_and_what_dialogues_ask_does_not(inputs: Path) -> None:
    singly, batched = (found["likely"] for found in singly_and_batched(inputs))
    roles = singly["roles"], batched["roles"]
    assert roles[1]["judge"]["usd"] == pytest.approx(roles[0]["judge"]["usd"] / 2)
    assert roles[1]["critic"]["usd"] == pytest.approx(roles[0]["critic"]["usd"])
    assert roles[0]["teacher"]["usd"] / 2 < roles[1]["teacher"]["usd"] < roles[0]["teacher"]["usd"]
    assert all(singly[part] == batched[part] for part in ("calls", "input_tokens", "output_tokens"))


def test_a_batch_that_comes_to_nothing_costs_in_full_and_so_do_cloze_verdicts_and_the_few(
    inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    singly, batched = singly_and_batched(inputs)
    assert batched["at_most"] == singly["at_most"]
    singly, batched = singly_and_batched(inputs, verdict={"style": "cloze"})
    assert batched["likely"]["roles"]["judge"] == singly["likely"]["roles"]["judge"]
    assert batched["likely"]["roles"]["teacher"]["usd"] < singly["likely"]["roles"]["teacher"]["usd"]
    monkeypatch.setattr(estimating, "FEWEST", 10**6)
    singly, batched = singly_and_batched(inputs)
    assert batched["likely"] == singly["likely"]


def test_the_price_of_batches_is_among_what_is_assumed(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(found: dict[str, Any]) -> list[str]:
        return [line for line in found["assumes"] if "batches" in line]

    singly, batched = singly_and_batched(inputs)
    assert said(singly) == []
    assert said(batched) == [
        "batches (cast.teacher.batch, cast.critic.batch, cast.judge.batch): likely what goes into them (16 requests or "
        "more) at half the price; at most: all at the full price; their time is in no figure"
    ]
    monkeypatch.setattr(estimating, "FEWEST", 10**6)
    assert ["too little for any" in line for line in said(singly_and_batched(inputs)[1])] == [True]


def test_what_nobody_knows_the_price_of_is_named_and_not_taken_for_free(inputs: Path) -> None:
    found = estimate_of(config_of(inputs, cast={"critic": {"model": "mine", "base_url": "http://127.0.0.1:9/v1"}}))
    assert found["likely"]["roles"]["critic"]["usd"] is None
    assert found["likely"]["roles"]["teacher"]["usd"] == 0
    assert found["likely"]["usd"] is None
    assert list(found["unpriced"]) == ["mine"]


def test_who_is_no_endpoint_is_not_asked(inputs: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown.jsonl"
    shown.write_text("\n".join(json.dumps({"input": line, "output": "x"}) for line in inputs.read_text().splitlines()))
    found = estimate_of(config_of(inputs, cast={"teacher": {"demonstrations": shown}, "critic": {"use": "length"}}))
    assert found["at_most"]["calls"] == 0
    assert found["at_most"]["roles"] == {}


def test_a_reference_writer_and_a_jury_are_counted_with_their_roles(inputs: Path) -> None:
    plain = estimate_of(config_of(inputs))["at_most"]["roles"]
    several = {"references": {"model": "simulated"}, "jury": [{"model": "simulated"}]}
    found = estimate_of(config_of(inputs, cast=several))["at_most"]["roles"]
    assert found["teacher"]["calls"] == plain["teacher"]["calls"]
    assert found["critic"]["calls"] == plain["critic"]["calls"] + 10 * 2 * 2


def test_a_script_without_spaces_has_more_tokens(tmp_path: Path) -> None:
    path = tmp_path / "chinese.txt"
    path.write_text(
        "\n".join(f"我把第{number}把雨伞忘在了火车上，今天又下雨了。" for number in range(40)), encoding="utf-8"
    )
    latin = tmp_path / "latin.txt"
    latin.write_text("\n".join(f"I forgot umbrella {number} in a train." for number in range(40)), encoding="utf-8")
    found, other = (estimate_of(config_of(one))["likely"] for one in (path, latin))
    assert found["input_tokens"] > other["input_tokens"]


@pytest.mark.parametrize("style", ["label", "reason", "cloze"])
@pytest.mark.parametrize("selection", ["most_different", "tournament"])
def test_every_style_and_selection_can_be_estimated(inputs: Path, style: str, selection: str) -> None:
    config = config_of(inputs, verdict={"style": style}, dialogue={"selection": selection})
    assert estimate_of(config)["at_most"]["roles"]["critic"]["input_tokens"] > 0


def test_a_prompt_that_asks_for_what_is_not_there_is_told(inputs: Path, tmp_path: Path) -> None:
    task = tmp_path / "task.yaml"
    text = (Path(__file__).parents[3] / "agents" / "tasks" / "humor.yaml").read_text(encoding="utf-8")
    task.write_text(text.replace("{{ count }}", "{{ cuont }}"), encoding="utf-8")
    with pytest.raises(TaskError):
        estimate_of(config_of(inputs, task=str(task)))


def test_a_budget_that_is_likely_too_small_is_told_beforehand(inputs: Path) -> None:
    found = estimate_of(config_of(inputs))
    wanted = found["likely"]["input_tokens"] + found["likely"]["output_tokens"]
    foreseen = {"seconds": 600.0}
    [note] = budget_notes(config_of(inputs, budget={"tokens": wanted - 1, "usd": 1}), found, foreseen)
    assert f"budget.tokens is {wanted - 1:,} tokens: it will stop before its end" in note
    assert budget_notes(config_of(inputs, budget={"tokens": wanted, "minutes": 10}), found, foreseen) == []
    [note] = budget_notes(config_of(inputs, budget={"minutes": 9}), found, foreseen)
    assert "likely takes 10 minutes, and budget.minutes is 9 minutes: it will stop before its end" in note


def test_as_if_there_were_more_inputs_like_those_all_grows_in_proportion(inputs: Path) -> None:
    config = RunConfig.model_validate({"inputs": {"path": inputs}})
    there, more = sizing_of(config), sizing_of(config, as_if=4000)
    assert more.inputs == {split: 100 * count for split, count in there.inputs.items()}
    before, after = estimate(config, there)["likely"], estimate(config, more)["likely"]
    for part in ("calls", "input_tokens", "output_tokens"):
        assert after[part] == pytest.approx(100 * before[part], rel=0.01)
