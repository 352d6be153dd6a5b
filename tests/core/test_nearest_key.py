import pytest
from pydantic import BaseModel

from openmic.core.nearest_key import nearest_key


class Lamp(BaseModel):
    watts: int = 5
    colour: str = "warm"


class House(BaseModel):
    name: str = ""
    lamps: tuple[Lamp, ...] = ()
    hall: Lamp | None = None


HINTS = [
    (("nmae",), "; did you mean 'name'?"),
    (("hall", "color"), "; did you mean 'hall.colour'?"),
    (("lamps", "0", "wats"), "; did you mean 'lamps.0.watts'?"),
    (("watts",), "; did you mean 'lamps.watts'?"),
    (("hall", "roof"), "; valid keys of hall are watts, colour"),
    (("garden",), "; valid keys are name, lamps, hall"),
    (("hall", "colour"), ""),
]


@pytest.mark.parametrize(("key", "hint"), HINTS, ids=[".".join(key) for key, _ in HINTS])
def test_the_key_that_was_meant_is_named(key: tuple[str, ...], hint: str) -> None:
    assert nearest_key(House, key) == hint
