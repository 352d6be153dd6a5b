from dataclasses import replace

import pytest

from openmic.training.student.student import LoadedStudent

from ..conftest import BuildStudent


@pytest.fixture
def student(student: BuildStudent) -> BuildStudent:
    """Fresh students in float64, so that texts can be compared token for token on every processor.

    In float32 the shape of a batch changes a logit's last digits, by an amount that depends on the processor,
    and one text in some hundreds then takes another turn.
    """

    def build(name: str) -> LoadedStudent:
        one = student(name)
        return replace(one, model=one.model.double())

    return build
