import json
from pathlib import Path
from typing import Any

import pytest

from ..whole_run import write_config
from .conftest import Openmic


@pytest.fixture
def config(tmp_path: Path, tiny_causal: Path) -> Path:
    return write_config(tmp_path, tiny_causal)


def test_a_dry_run_prints_the_plan_and_writes_nothing(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    outcome = openmic("run", str(config), "--dry-run")
    assert outcome.code == 0
    assert "nothing was started" in outcome.out
    assert "16 train, 5 dev, 3 test" in outcome.out
    assert "teacher: simulated" in outcome.out
    assert sorted(tmp_path.rglob("*")) == before


def test_the_plan_counts_every_call_at_most(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    outcome = openmic("run", str(config), "--dry-run", "--json", "--set", "rounds=2")
    plan = json.loads(outcome.out)
    assert plan["inputs"] == {"train": 16, "dev": 5, "test": 3}
    # 16 + 2 dev + 3 test inputs demonstrated, and 6 dialogues a round that may come to the teacher
    assert plan["calls_at_most"]["teacher"] == 16 + 2 + 3 + 2 * 6
    # a comparison is two calls; a revision is a critique and another comparison
    assert plan["calls_at_most"]["critic"] == 2 * 6 * (2 + 3)
    assert plan["student"]["kind"] == "causal"
    assert not (tmp_path / "openmic-data").exists()


def test_the_plan_says_which_inputs_are_used_and_what_is_asked_for_beyond_them(openmic: Openmic, config: Path) -> None:
    plan = planned(openmic, config, "rounds=2", "evaluation.test_inputs=null")
    assert plan["used"] == {"demonstrated": 16, "in_dialogues": 6, "dev": 2, "test": 3}
    assert plan["asked_for"] == {}
    many = ["imitation.inputs=5000", "dialogue.inputs=17", "evaluation.dev_inputs=5", "evaluation.test_inputs=4"]
    plan = planned(openmic, config, *many)
    assert plan["used"] == {"demonstrated": 16, "in_dialogues": 16, "dev": 5, "test": 3}
    assert plan["asked_for"] == {"imitation.inputs": 5000, "dialogue.inputs": 17, "evaluation.test_inputs": 4}
    assert planned(openmic, config, "inputs.limit=100000")["asked_for"]["inputs.limit"] == 100000
    said = openmic("run", str(config), "--dry-run", *(part for one in many for part in ("--set", one))).out
    assert (
        "16 train demonstrated, 16 train in dialogues of each round, 5 dev and 3 test to evaluate on; imitation.inputs "
        "asks for 5000; dialogue.inputs asks for 17; evaluation.test_inputs asks for 4"
    ) in said
    assert "; more where a reply has to be asked for again" in said


def test_the_plan_says_who_is_simulated(openmic: Openmic, config: Path) -> None:
    assert any("figures are of the simulated cast" in note for note in planned(openmic, config)["notes"])


def test_a_sequence_to_sequence_student_is_told_apart(openmic: Openmic, tmp_path: Path, tiny_seq2seq: Path) -> None:
    outcome = openmic("run", str(write_config(tmp_path, tiny_seq2seq)), "--dry-run", "--json")
    assert json.loads(outcome.out)["student"]["kind"] == "seq2seq"


def planned(openmic: Openmic, config: Path, *changes: str) -> Any:
    outcome = openmic("run", str(config), "--dry-run", "--json", *(part for one in changes for part in ("--set", one)))
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_every_member_of_a_jury_is_asked_about_every_comparison(openmic: Openmic, config: Path) -> None:
    jury = "cast.jury=[{model: simulated}, {model: simulated}]"
    plan = planned(openmic, config, jury)
    assert plan["jury"] == ["simulated", "simulated"]
    # two comparisons of two replies each, by three members; a critique is the critic's alone
    assert plan["calls_at_most"]["critic"] == 6 * (2 * 2 * 3 + 1)
    assert "jury         simulated, simulated" in openmic("run", str(config), "--dry-run", "--set", jury).out


@pytest.mark.parametrize(("candidates", "drafts"), [(2, 1), (3, 4), (4, 5), (5, 7), (6, 8)])
def test_a_tournament_takes_more_comparisons(openmic: Openmic, config: Path, candidates: int, drafts: int) -> None:
    plan = planned(openmic, config, "dialogue.selection=tournament", f"dialogue.candidates={candidates}")
    assert plan["calls_at_most"]["critic"] == 6 * (2 * (drafts + 1) + 1)


@pytest.mark.parametrize("change", ["preferences.teacher_pairs=true", "training.objective=brio-dpo"])
def test_pairs_of_the_teachers_are_compared_once_for_each_input(openmic: Openmic, config: Path, change: str) -> None:
    plain, pairs = planned(openmic, config), planned(openmic, config, change)
    assert pairs["calls_at_most"]["critic"] - plain["calls_at_most"]["critic"] == 2 * 16
    one = planned(openmic, config, change, "imitation.demonstrations=1")
    assert one["calls_at_most"]["critic"] == plain["calls_at_most"]["critic"]


def test_labels_are_sampled_where_no_probabilities_are_given(openmic: Openmic, config: Path) -> None:
    plain = planned(openmic, config)["calls_at_most"]
    sampled = planned(openmic, config, "cast.simulated.no_logprobs=true", "verdict.samples=3")["calls_at_most"]
    assert sampled["critic"] == 6 * (2 * 2 * 3 + 1)
    assert sampled["judge"] == 3 * plain["judge"]


def test_training_while_dialogues_go_on_makes_more_adapters_to_evaluate(openmic: Openmic, config: Path) -> None:
    once, often = (planned(openmic, config, *changes) for changes in ([], ["training.train_every=4"]))
    # 6 dialogues make at most 2 preferences by comparison and one of the teacher's each: 18 // 4 further adapters
    more = often["calls_at_most"]["judge"] - once["calls_at_most"]["judge"]
    assert more == 4 * 2 * (2 + 3)
    assert often["student_generations_at_most"] - once["student_generations_at_most"] == 4 * (2 + 3)


def test_the_plan_says_how_long_it_takes_and_what_bounds_it(openmic: Openmic, config: Path) -> None:
    given = ("--assume", "student.tokens_per_s=0.5", "--assume", "student.output_tokens=10")
    said = openmic("run", str(config), "--dry-run", *given).out
    # 6 dialogues of 3 drafts and a revision, 2 dev inputs by two versions and 3 test inputs by three, 10 tokens each
    seconds = (6 * 4 + 2 * 2 + 3 * 3) * 10 / 0.5
    assert f"  time         likely {seconds / 60:.0f} min or more: demonstrate " in said
    assert "  bound by     the student: 1 actor of 0.5 tokens/s (student.pool.actors), for 12 min of it" in said
    assert "given: student.tokens_per_s 0.5, student.output_tokens 10; assumed: training.sft.tokens_per_s" in said
    forecast = json.loads(openmic("run", str(config), "--dry-run", "--json", *given).out)["forecast"]
    assert forecast["bound"] == "student"
    assert forecast["seconds"] == pytest.approx(seconds, rel=0.02)


def test_an_estimate_reckons_with_as_many_inputs_as_it_is_told(openmic: Openmic, config: Path) -> None:
    options = ("--set", "dialogue.inputs=null", "--as-if", "24000000")
    said = openmic("run", str(config), "--estimate", *options).out
    assert "The run would take, with 24,000,000 inputs like those," in said
    estimated = json.loads(openmic("run", str(config), "--estimate", "--json", *options).out)
    assert estimated["inputs"] == {"train": 16_000_000, "dev": 5_000_000, "test": 3_000_000}
    assert estimated["forecast"]["seconds"] > 86_400


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--as-if", "9"], "--as-if says how many inputs --estimate is to reckon with; add --estimate"),
        (["--assume", "student.tokens_per_s=9"], "--assume gives figures to --estimate and --dry-run"),
        (["--estimate", "--assume", "student.tokens_per_s=fast"], "write FIGURE=NUMBER"),
        (["--estimate", "--assume", "speed=9"], "nothing that is assumed is called 'speed'; there are student."),
    ],
)
def test_options_of_a_forecast_that_say_nothing_are_refused(
    openmic: Openmic, config: Path, options: list[str], told: str
) -> None:
    outcome = openmic("run", str(config), *options)
    assert outcome.code == 2
    assert told in outcome.err


def test_a_plan_keeps_its_columns_in_a_narrow_terminal(
    openmic: Openmic, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    lines = openmic("run", str(config), "--dry-run").out.splitlines()
    assert max(map(len, lines)) <= 80
    names = [line[:15].strip() for line in lines[1:] if line.startswith("  ")]
    assert {"", "task", "time", "bound by", "reckoned"} <= set(names)


def test_an_estimate_asks_nobody_and_writes_nothing(openmic: Openmic, config: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    critic = ["--set", "cast.critic.model=gpt-4.1-mini", "--set", "cast.critic.base_url=https://api.openai.com/v1"]
    outcome = openmic("run", str(config), "--estimate", *critic, "--set", "student.model=not/there")
    assert outcome.code == 0, outcome.err
    assert "Nobody was asked, and nothing was started" in outcome.out
    assert "genai-prices 0." in outcome.out
    estimated = json.loads(openmic("run", str(config), "--estimate", "--json", *critic).out)
    # the judge is the critic where none is named beside a model of somebody's
    assert set(estimated["at_most"]["roles"]) == {"teacher", "critic", "judge"}
    assert 0 < estimated["likely"]["usd"] < estimated["at_most"]["usd"] < 1
    assert sorted(tmp_path.rglob("*")) == before


def test_an_estimate_says_what_is_not_known_and_whether_the_budget_will_do(openmic: Openmic, config: Path) -> None:
    here = ["--set", "cast.critic.model=mine", "--set", "cast.critic.base_url=http://127.0.0.1:9/v1"]
    said = openmic("run", str(config), "--estimate", *here, "--set", "budget.tokens=100").out
    assert "what mine charges is not known: genai-prices" in said
    assert "unknown" in said
    assert "budget.tokens is 100 tokens: it will stop before its end" in said


def test_a_budget_in_dollars_without_a_price_is_refused_first(openmic: Openmic, config: Path) -> None:
    here = ["--set", "cast.critic.model=mine", "--set", "cast.critic.base_url=http://127.0.0.1:9/v1"]
    outcome = openmic("run", str(config), *here, "--set", "budget.usd=1")
    assert outcome.code == 2
    assert "budget.usd cannot be kept: what cast.critic charges (mine) is not known" in outcome.err
    assert "set cast.critic.price={input: …, output: …}" in outcome.err
