"""An engine that is made as one's own is, and samples as it likes, stands the suite as outsiders inherit it."""

from dataclasses import replace

import pytest

import openmic
from openmic.core.student_settings import StudentSettings
from openmic.testing import EngineConformance
from openmic.training.engines.static import StaticEngine
from openmic.training.student.student import load_student


@pytest.mark.slow
class TestOwn(EngineConformance):
    def make(self, settings: StudentSettings) -> openmic.Engine:
        loaded = load_student(settings.model, device=settings.device)
        student = replace(loaded, model=loaded.model.double())
        return StaticEngine(student, max_batch=settings.max_batch, wait_ms=2.0, threads=1)


def test_a_suite_that_does_not_say_what_it_tests_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"EngineConformance defines `make\(self, settings\)`"):
        EngineConformance().make(StudentSettings())
