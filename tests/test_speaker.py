"""How a run's student samples where nobody says it."""

from pathlib import Path

import openmic
from openmic.core.config import RunConfig
from openmic.store import Store
from openmic.training.standalone import load_student

from .store.rows import run


def test_a_runs_student_answers_as_its_evaluations_sample_and_as_long_as_was_settled(
    tiny_causal: Path, tmp_path: Path
) -> None:
    config = RunConfig.model_validate(
        {
            "inputs": {"path": "inputs.txt"},
            "student": {"model": str(tiny_causal), "device": "cpu"},
            "evaluation": {"sampling": {"temperature": 0.3, "top_p": 0.8, "max_tokens": 60}},
        }
    )
    address = str(tmp_path / "openmic.db")
    with Store.open(address) as store:
        store.add(run(config=config.model_dump(mode="json")))
    asked = [{"role": "user", "content": "The bus left."}]
    with openmic.open_run("RUN1", address).student(0) as speaker:
        said = speaker("The bus left.", n=2)
        prompt = speaker._agent.prompt("The bus left.")
        assert speaker("The bus left.", n=2, max_tokens=4) != said
    with load_student(str(tiny_causal), device="cpu") as student:
        [expected] = student([list(prompt)], n=2, temperature=0.3, top_p=0.8, max_tokens=60)
        assert said == [speaker._task.clean(text) for text in expected]
        # By itself it knows of no run: as evaluations sample by default, and longer than a line.
        usual = student([asked], seed=3)
        assert usual == student([asked], seed=3, temperature=0.7, top_p=0.9, max_tokens=128)
        assert usual != student([asked], seed=3, temperature=1.0, top_p=1.0, max_tokens=48)
