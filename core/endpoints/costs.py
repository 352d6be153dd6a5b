"""The configuration's sections on what endpoints charge, and what a run may take of them."""

from pydantic import Field

from ..section import Section


class PriceSettings(Section):
    """What an endpoint charges, in dollars per million tokens."""

    input: float = Field(ge=0)
    """Of prompts."""
    output: float = Field(ge=0)
    """Of what is written, thoughts included."""
    cached: float | None = Field(default=None, ge=0)
    """Of prompts that the endpoint had cached. None: as `input`."""


class BudgetSettings(Section):
    """What a run may take in all, resumed or not. Once it has, it stops (exit code 4) and can be resumed with more."""

    tokens: int | None = Field(default=None, ge=1)
    """Of large models' prompts and replies together."""
    usd: float | None = Field(default=None, gt=0)
    """What the replies of large models cost, in dollars; needs to know what each of them charges."""
    minutes: float | None = Field(default=None, gt=0)
    """Of work, from when the cast is opened."""
