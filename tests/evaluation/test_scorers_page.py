"""What docs/how-to/scorers.md shows works, and it shows all that ships."""

import inspect
import re
from pathlib import Path

import pytest
import yaml

from openmic.core.config import CastSettings, EvaluationSettings
from openmic.core.plugs import Plug
from openmic.evaluation.composite import Composite
from openmic.evaluation.measures import Novelty
from openmic.evaluation.scorers import SHIPPED_SCORERS, load_scorer
from openmic.simulator.rubrics import SimulatedRubric
from openmic.training.scoring.reward_model import RewardModel
from openmic.training.scoring.sentence_similarity import SentenceSimilarity

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "scorers.md").read_text(encoding="utf-8")
MODULE, IN_PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[CONFIGURATION] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_scorers_of_the_example_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_measures.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    content = yaml.safe_load(CONFIGURATION)
    settings = EvaluationSettings.model_validate(content["evaluation"])
    names = [load_scorer(plug, where="evaluation.scorers").name for plug in settings.scorers]
    assert names == ["faithfulness", "exclaims", "reward", "mix"]
    critic = CastSettings.model_validate(content["cast"]).critic.plug
    assert critic is not None
    assert load_scorer(critic, where="cast.critic").name == "exclaims"


def test_what_is_done_in_python_is_true() -> None:
    exec(IN_PYTHON, {})


def test_every_scorer_that_ships_is_in_the_table_with_its_kwargs() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*)\|$", PAGE, re.MULTILINE))
    assert set(rows) == set(SHIPPED_SCORERS)
    made = {
        "composite": Composite,
        "novelty": Novelty,
        "reward_model": RewardModel,
        "sentence_similarity": SentenceSimilarity,
        "simulated_rubric": SimulatedRubric,
    }
    for name, kwargs in rows.items():
        wanted = list(inspect.signature(made[name]).parameters) if name in made else []
        assert re.findall(r"`(\w+)`", kwargs) == wanted, name
    assert load_scorer(Plug(use="length"), where="here").name == "length"
