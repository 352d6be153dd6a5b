"""An engine of the user's own: what is recorded of it, and what preflight refuses."""

import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import openmic
from openmic.core.config import RunConfig
from openmic.core.errors import ConfigError
from openmic.graph.context.engine import engine_of, engine_to_send
from openmic.graph.context.plugs import Plugs
from openmic.graph.preflight.objects import check_engine

from ...training.pool.own_engine import Echo
from ...whole_run import clean_environment

NAMED = f"{Echo.__module__}:Echo"


def config_of(engine: str = NAMED, *, beams: int = 1, **kwargs: Any) -> RunConfig:
    student = {"engine": engine, "engine_kwargs": kwargs}
    evaluation = {"sampling": {"num_beams": beams}}
    return RunConfig.model_validate({"inputs": {"path": "none.txt"}, "student": student, "evaluation": evaluation})


def test_one_that_is_named_is_imported_not_made_and_recorded() -> None:
    plugs, config = Plugs(), config_of(mark="?")
    check_engine(config, plugs)
    assert engine_of(plugs, config.student) is Echo
    assert engine_to_send(plugs, config.student) is None  # students' processes import it themselves
    record = plugs.records["student.engine"]
    assert (record["use"], record["kwargs"], record["importable"]) == (NAMED, {"mark": "?"}, True)
    assert record["source_hash"]


def test_one_that_is_given_is_sent_and_recorded_as_what_cannot_be_imported() -> None:
    class Local(Echo):
        pass

    plugs, config = Plugs({"student.engine": Local}), config_of(f"{__name__}:{Local.__qualname__}", mark="?")
    check_engine(config, plugs)
    assert engine_of(plugs, config.student) is Local
    sent = engine_to_send(plugs, config.student)
    assert sent is not None
    assert getattr(sent(config.student, threads=2, worker="w", mark="?"), "mark", None) == "?"
    record = plugs.records["student.engine"]
    assert (record["kwargs"], record["importable"]) == ({"mark": "?"}, False)
    with pytest.raises(ConfigError, match=r"student\.engine: .*Local was given as a Python object and cannot be"):
        check_engine(config, Plugs())


def test_one_of_a_module_that_only_this_process_finds_goes_by_its_value(tmp_path: Path) -> None:
    plugs, config = Plugs({"student.engine": Echo}), config_of()
    (tmp_path / "sent").write_bytes(pickle.dumps((engine_to_send(plugs, config.student), config.student)))
    code = """if True:
        import pickle, sys
        sent, settings = pickle.load(open("sent", "rb"))
        print(sent(settings, threads=2, worker="w").threads, "tests" in sys.modules)
    """
    path = {"PYTHONPATH": str(Path(openmic.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=clean_environment(**path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2 False\n", done.stderr


def test_engines_that_ship_are_no_plugs() -> None:
    plugs = Plugs()
    assert engine_of(plugs, config_of("static").student) is None
    assert plugs.records == {}


def test_beams_are_for_engines_that_say_that_they_search() -> None:
    class Plain(Echo):
        beams = False

    config = config_of(beams=4)
    check_engine(config, Plugs())
    with pytest.raises(ConfigError, match="has no beam search, and num_beams is 4; set"):
        check_engine(config, Plugs({"student.engine": Plain}))


def test_one_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    lock = threading.Lock()

    def locked(settings: Any, *, threads: int, worker: str) -> Echo:
        with lock:
            return Echo(settings, threads=threads, worker=worker)

    with pytest.raises(ConfigError, match=r"cannot be sent to the students' processes \(TypeError: .*lock.*pickle"):
        check_engine(config_of(), Plugs({"student.engine": locked}))
