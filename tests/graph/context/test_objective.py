"""An objective of the user's own on its way to the trainer's process."""

import pickle
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import openmic
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.graph.context.objective import training_phase, try_own_objective
from openmic.graph.context.plugs import Plugs
from openmic.graph.context.run_context import RunContext
from openmic.training.loop.job import TrainingPhase

from ...training.objectives.own_objectives import Margin
from ...whole_run import clean_environment
from ..conftest import config_of

NAMED = f"{Margin.__module__}:Margin"


def context_of(given: Any = None, **training: Any) -> RunContext:
    config: RunConfig = config_of(training={"objective": NAMED, **training})
    plugs = Plugs({} if given is None else {"training.objective": given})
    context: Any = SimpleNamespace(config=config, plugs=plugs)
    return context  # type: ignore[no-any-return]  # only these two are asked


def test_one_that_is_named_is_imported_by_the_trainer() -> None:
    context = context_of(objective_kwargs={"margin": 2.0})
    assert training_phase(context, NAMED, []) == TrainingPhase(NAMED, (), {"margin": 2.0})
    assert training_phase(context, "dpo", []) == TrainingPhase("dpo", ())


def test_one_of_a_module_that_only_this_process_finds_goes_by_its_value(tmp_path: Path) -> None:
    phase = training_phase(context_of(Margin(4.0)), NAMED, [])
    (tmp_path / "sent").write_bytes(pickle.dumps(phase))
    code = """if True:
        import pickle, sys
        phase = pickle.load(open("sent", "rb"))
        from openmic.training.objectives import as_objective
        print(as_objective(phase.given, where="here").margin, "tests" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_environment(PYTHONPATH=str(Path(openmic.__file__).parents[1])),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "4.0 False\n", done.stderr


def test_its_source_is_known_where_it_cannot_be_read() -> None:
    class Other(Margin):
        """Not the same source."""

    own, other = (training_phase(context_of(given), NAMED, []) for given in (Margin(), Other()))
    assert own.source_hash
    assert own.source_hash == training_phase(context_of(Margin(2.0)), NAMED, []).source_hash != other.source_hash


def test_one_that_cannot_be_sent_is_refused() -> None:
    locked = Margin()
    locked.lock = threading.Lock()  # type: ignore[attr-defined]  # as somebody's objective may hold one
    context = context_of(locked)
    why = r"^training\.objective: .*Margin cannot be sent to the trainer's process \(TypeError: cannot pickle .*lock"
    with pytest.raises(ConfigError, match=why):
        try_own_objective(context.plugs, context.config.training)
    with pytest.raises(ConfigError, match=why):
        training_phase(context, NAMED, [])
