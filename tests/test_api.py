"""The public face: a campaign from Python, and single comparisons, critiques and dialogues."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import openmic
from openmic.core.errors import ConfigError, InputError, InterruptedRunError
from openmic.given import named

from .training.pool.own_engine import Echo
from .viewer.conftest import visiting
from .whole_run import clean_environment, openmic_here, write_config

INPUT = "The bus left."


def shorter(_input: Any, outputs: Sequence[str]) -> list[float]:
    return [-float(len(output)) for output in outputs]


class Brief:
    """Likes short texts, and says so."""

    def compare(self, _input: Any, first: str, second: str) -> bool:
        return len(first) < len(second)

    def criticise(self, _input: Any, _text: str) -> str:
        return "Be brief."


def my_engine(settings: Any, *, threads: int, worker: str) -> openmic.Engine:
    """An engine that says that it is mine."""
    from openmic.training.engines.static import StaticEngine
    from openmic.training.student.student import load_student

    student = load_student(settings.model, device="cpu")
    return StaticEngine(student, max_batch=settings.max_batch, wait_ms=5.0, threads=threads, worker=f"mine/{worker}")


def test_importing_it_takes_no_time_and_everything_in_it_is_there() -> None:
    code = "import sys, openmic; print([m for m in ('torch', 'ray', 'langgraph', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert all(getattr(openmic, name) is not None for name in openmic.__all__)
    assert set(openmic.__all__) <= set(dir(openmic))
    with pytest.raises(AttributeError, match="has no attribute 'trane'"):
        openmic.trane  # noqa: B018 - looking is what is tried


# By itself


def test_two_texts_are_compared_by_whoever_is_given() -> None:
    by_function = openmic.compare(INPUT, "The bus left me.", INPUT, critic=shorter)
    assert (by_function.outcome, by_function.method) == ("loss", "score")
    assert openmic.compare(INPUT, "The bus left me.", INPUT, critic=Brief()).method == "function"
    assert openmic.compare(INPUT, "The bus left me.", INPUT, critic={"use": "length"}).outcome == "win"


def test_the_simulated_cast_is_the_critic_where_none_is_given() -> None:
    verdict = openmic.compare(INPUT, "The bus left me for a younger bus stop that never asks where it has been.", INPUT)
    assert verdict.method == "logprobs"
    assert len(repr(verdict)) < 200


def test_a_text_is_criticised() -> None:
    assert openmic.criticise(INPUT, "The bus left me.", critic=Brief()).suggestion == "Be brief."
    assert openmic.criticise(INPUT, INPUT).suggestion
    with pytest.raises(ConfigError, match=r"test_api:shorter has no `criticise`"):
        openmic.criticise(INPUT, INPUT, critic=shorter)


def test_it_works_where_an_event_loop_runs() -> None:
    async def cell() -> str:
        return str(openmic.compare(INPUT, "The bus left me.", INPUT, critic=shorter).outcome)

    assert asyncio.run(cell()) == "loss"


def test_a_name_alone_could_mean_two_things() -> None:
    with pytest.raises(ConfigError, match=r"cast\.critic: 'gpt-4\.1' could be a model or an object of yours"):
        openmic.compare(INPUT, "a", "b", critic="gpt-4.1")


def test_a_file_of_demonstrations_is_one_in_whatever_form_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shown.jsonl"
    for key in ("cast.teacher", "cast.references"):
        for given in (path, str(path)):
            assert named(key, given) == ({"demonstrations": str(path)}, {})
    [row] = named("cast.references", [{"input": INPUT, "output": "Ha."}], tmp_path)[0].values()
    assert json.loads(Path(row).read_text()) == {"input": INPUT, "output": "Ha."}


def test_there_has_to_be_something_to_run_on() -> None:
    with pytest.raises(ConfigError, match="there is nothing to run on; give a configuration"):
        openmic.run()


def test_inputs_that_are_given_need_no_path(tmp_path: Path) -> None:
    for config in (None, {"name": "mine"}, {"inputs": {"limit": 2}}):
        with pytest.raises(InputError, match="2 inputs leave fewer than 2 in the train split"):
            openmic.run(config, {"home": str(tmp_path)}, inputs=[INPUT, "A kettle."])


def test_the_best_of_several_is_chosen() -> None:
    assert openmic.best_of(shorter, INPUT, ["three", "one", "two"]) == "one"
    assert openmic.best_of("length", INPUT, ["a b", "a b c", "a"]) == "a b c"


@pytest.fixture(scope="module")
def config(tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_config(tmp_path_factory.mktemp("api"), tiny_causal)


def test_one_dialogue_is_held_without_a_run(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    held = openmic.dialogue(
        INPUT,
        config=config,
        critic=Brief(),
        teacher=lambda source, _count: [f"{source} Ha."],
        task=str(_task(config)),
        engine=partial(Echo, mark=" it said."),
    )
    assert held.input == INPUT
    assert len(held.drafts) == 3
    assert all(draft.endswith(" it said.") for draft in held.drafts)
    assert held.status == "finished"
    assert str(held).startswith(f"input         {INPUT}\n")
    assert not (config.parent / "openmic-data").exists()


def _task(config: Path) -> Path:
    return config.parent / "lenient.yaml"


# A campaign whose critic is a function of five lines


@pytest.fixture(scope="module")
def campaign(ray_running: None, config: Path) -> Iterator[openmic.Run]:
    home = config.parent / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(config.parent)
        texts = [f"Sentence {n} is about a kettle." for n in range(24)]
        teacher = [{"input": text, "output": [f"{text} Ha.", f"Ha: {text}"]} for text in texts]
        yield openmic.run(
            config,
            {"home": str(home), "dialogue.inputs": 4},
            inputs=texts,
            teacher=teacher,
            critic=shorter,
            judge=shorter,
            engine=my_engine,
            progress=False,
        )


def test_its_students_have_the_engine_that_was_given(campaign: openmic.Run) -> None:
    workers = {turn.worker for dialogue in campaign for turn in dialogue.conversation.turns if turn.kind == "draft"}
    assert workers
    assert all(worker is not None and worker.startswith("mine/") for worker in workers)
    assert campaign.plugs["student.engine"]["use"] == f"{__name__}:my_engine"


def test_it_asks_nobody_and_ends_with_versions_and_a_gain(campaign: openmic.Run) -> None:
    assert campaign.status == "finished"
    assert [row["stage"] for row in campaign.versions] == ["no adapter", "imitation", "round 1"]
    assert campaign.gain is not None
    assert campaign.gain.low <= campaign.gain.value <= campaign.gain.high
    assert openmic.gain_over_seeds([campaign]) == pytest.approx(campaign.gain)
    with pytest.raises(ConfigError, match="runs: two have seed"):
        openmic.gain_over_seeds([campaign, campaign])
    with pytest.raises(ConfigError, match="runs: there is none"):
        openmic.gain_over_seeds([])
    assert not list(campaign.folder.glob("simulated-cast.jsonl"))
    assert campaign.report()["llm"] == {}
    assert campaign.report()["cast"] != "simulated"


def test_its_tables_hold_what_was_said(campaign: openmic.Run) -> None:
    preferences = campaign.preferences()
    assert len(preferences)
    texts = campaign.preferences(texts=True)
    assert [row["chosen"] for row in texts] == [row["chosen"][0]["content"] for row in preferences]
    assert next(iter(texts[0])) == "input"
    assert texts[0]["input"] in str(texts._repr_html_())
    for row in preferences:
        assert len(row["chosen"][0]["content"]) < len(row["rejected"][0]["content"])
    assert len(preferences.to_pandas()) == preferences.to_dataset().num_rows == len(preferences)
    assert {row["method"] for row in campaign.verdicts()} == {"score"}
    assert {row["stage"] for row in campaign.dialogues()} == {"demonstrate", "collect", "evaluate"}
    held = list(campaign)
    assert len(held) == 4
    assert all(dialogue.verdicts for dialogue in held if len(set(dialogue.drafts)) > 1)


def test_explain_names_the_function_and_its_scores(campaign: openmic.Run) -> None:
    found = campaign.explain(2, limit=1)
    assert str(found).startswith(f"adapter v2 of run {campaign.id}\n")
    assert f"{__name__}:shorter: -" in str(found)
    assert len(found["learned"]) == 1
    text = json.dumps(campaign.explain(2))
    assert f"{__name__}:shorter" in text
    scores = {-float(len(turn.content)) for d in campaign for turn in d.conversation.turns if turn.kind == "draft"}
    said = {turn.content for d in campaign for turn in d.conversation.turns if turn.kind == "verdict"}
    assert {float(score) for score in said} <= scores
    [record] = [campaign.plugs["cast.critic"]]
    assert (record["use"], record["importable"]) == (f"{__name__}:shorter", True)
    assert record["source_hash"]


def test_scores_stand_beside_the_texts_that_have_them(campaign: openmic.Run) -> None:
    held = next(dialogue for dialogue in campaign if dialogue.verdicts).conversation
    verdict, turns = held.verdicts[0], {turn.id: turn for turn in held.turns}
    first, second = turns[verdict.first_turn_id], turns[verdict.second_turn_id]
    sides = [f"#{turn.seq + 1} {-len(turn.content)}" for turn in (first, second)]
    shown = openmic_here("transcripts", "show", held.dialogue.id, "--store", campaign.store, cwd=campaign.folder)
    assert f"{__name__}:shorter: {', '.join(sides)}" in shown.stdout
    with visiting(campaign.store) as pages:
        page = pages.get(f"/dialogues/{held.dialogue.id}").text
    for side in sides:
        place, score = side.split()
        assert f"Score of {place} by <bdi>{__name__}:shorter</bdi>: {score}<" in page


def test_a_run_that_exists_is_opened_by_its_name(campaign: openmic.Run) -> None:
    again = openmic.open_run(campaign.id[:20].lower(), campaign.store)
    assert again.id == campaign.id
    assert again.adapter() in (again.adapter(1), again.adapter(2))
    assert (Path(again.adapter("latest")) / "adapter_model.safetensors").is_file()
    assert again.resume(progress=False).status == "finished"


def test_the_store_is_no_other_for_being_looked_at_by_the_command(campaign: openmic.Run) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openmic", "transcripts", "explain", f"{campaign.id}:v2", "--store", campaign.store],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environment(),
    )
    assert f"{__name__}:shorter" in done.stdout


# Objects that cannot be imported again


@pytest.mark.usefixtures("ray_running")
def test_a_run_that_was_interrupted_needs_its_object_again(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(config.parent)
    calls: list[int] = []

    def local(_input: Any, outputs: Sequence[str]) -> list[float]:
        calls.append(len(outputs))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return [float(len(output)) for output in outputs]

    with pytest.raises(InterruptedRunError) as caught:
        openmic.run(config, {"home": "other", "dialogue.inputs": 3}, critic=local, judge=local, progress=False)
    begun = caught.value.run
    assert begun.status == "interrupted"
    assert caught.value.__notes__ == [f"to go on: openmic.open_run({begun.id!r}, {begun.store!r}).resume()"]
    with pytest.raises(ConfigError, match=r"cannot be imported again: cast\.critic \(.*local\).*resume\(critic=…\)"):
        begun.resume(progress=False)
    assert begun.resume(progress=False, critic=local, judge=local).status == "finished"


def test_its_student_answers_as_it_was_taught(campaign: openmic.Run) -> None:
    with campaign.student("latest") as student:
        one = student("The bus left.", max_tokens=8)
        two = student(["The bus left.", "A kettle."], n=2, max_tokens=8, temperature=1.0)
    assert isinstance(one, str)
    assert [len(samples) for samples in two] == [2, 2]


def test_a_clone_without_links_says_what_to_do(tmp_path: Path) -> None:
    package = tmp_path / "openmic"
    package.mkdir()
    shutil.copy(Path(openmic.__file__), package)
    (package / "core").write_text("../../core")  # what git writes where it may make no links
    done = subprocess.run(
        [sys.executable, "-c", "import openmic"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert "git config core.symlinks true" in done.stderr
