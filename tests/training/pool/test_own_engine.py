"""Engines of a user's in the processes of students."""

import asyncio
import os
from socket import gethostname
from typing import Any

import pytest

from openmic.core.errors import StudentLostError
from openmic.core.records import Generation
from openmic.core.student_settings import StudentSettings
from openmic.training.engines.engine import EngineFactory
from openmic.training.pool.pool import StudentPool

from ..factories import request
from .own_engine import Echo

pytestmark = pytest.mark.usefixtures("ray_running")
NAMED = f"{Echo.__module__}:Echo"


def answer(engine: str, given: EngineFactory | None = None, **kwargs: Any) -> Generation:
    """What a pool answers whose students have this engine."""
    settings = StudentSettings.model_validate({"engine": engine, "engine_kwargs": kwargs})

    async def asked() -> Generation:
        pool = StudentPool(settings, threads=1, engine=given)
        try:
            return await pool.generate(request(seed=7))
        finally:
            pool.close()

    found = asyncio.run(asked())
    assert found.worker.startswith(f"{gethostname()}/pid-")
    assert found.worker != f"{gethostname()}/pid-{os.getpid()}"
    return found


def test_one_is_imported_where_the_student_runs() -> None:
    assert answer(NAMED, mark="?").text == "It is 7?"


def test_one_of_a_local_scope_goes_there_by_its_value() -> None:
    class Loud(Echo):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named | {"mark": said})

    said = "!!!"
    assert answer(f"{__name__}:{Loud.__qualname__}", Loud).text == "It is 7!!!"


def test_one_of_a_script_goes_there_by_its_value() -> None:
    of_a_script = type("OfAScript", (Echo,), {"__module__": "__main__", "__init__": Echo.__init__})
    assert answer("__main__:OfAScript", of_a_script, mark=".").text == "It is 7."


def test_one_that_cannot_be_made_says_so_to_those_who_wait() -> None:
    with pytest.raises(StudentLostError, match=r"no student could be started: .*broken could not be made: OSError: no"):
        answer(f"{Echo.__module__}:broken")
