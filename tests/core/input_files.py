"""Input files as tests write them, and what is read of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from openmic.core.config import InputSettings
from openmic.core.errors import InputError
from openmic.core.inputs import read_inputs

Write = Callable[..., Path]
"""From a name and a content, text or bytes, to the file."""


def texts_of(path: Path, **settings: object) -> list[str]:
    return [example.text for example in read_inputs(InputSettings.model_validate({"path": path, **settings})).examples]


def refusal(path: Path, **settings: object) -> str:
    """The one error that reading the file ends with."""
    with pytest.raises(InputError) as caught:
        texts_of(path, **settings)
    assert caught.value.exit_code == 2
    assert str(path) in str(caught.value)
    return str(caught.value)
