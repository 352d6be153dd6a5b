"""The configuration's section on the student's actors."""

from math import ceil
from typing import Self

from pydantic import Field, model_validator

from .section import Section


class PoolSettings(Section):
    """The student's actors: how many there are, what each takes, and how much waits for each."""

    actors: int = Field(default=1, ge=1)
    """Actors to begin with, each with the whole model."""
    min_actors: int | None = Field(default=None, ge=1)
    """Actors that are kept however little there is to do. None: as many as `actors`."""
    max_actors: int | None = Field(default=None, ge=1)
    """Actors that may be had when much is waiting. None: as many as `actors`."""
    cpus_per_actor: float = Field(default=1.0, ge=0)
    """CPUs that Ray sets aside for each."""
    gpus_per_actor: float = Field(default=0.0, ge=0)
    """GPUs that Ray sets aside for each; below 1, actors share a GPU."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Custom Ray resources that each needs, to have them on certain nodes: {"student": 1}."""
    max_in_flight: int = Field(default=512, ge=1)
    """Requests an actor holds at once, its batch included; beyond that dialogues wait for their turn."""
    max_retries: int = Field(default=3, ge=0)
    """How often a request is sent again because the actor that had it died."""
    restart_timeout_s: float = Field(default=300.0, gt=0)
    """How long requests wait for an actor to come back when none is left."""
    scale_up_above: float = Field(default=128.0, gt=0)
    """Requests per actor, in flight or waiting, above which one more actor is started."""
    scale_up_after_s: float = Field(default=5.0, ge=0)
    """How long it must have been so."""
    scale_down_below: float = Field(default=16.0, ge=0)
    """Requests per actor below which one is let go, once it has answered what it has."""
    scale_down_after_s: float = Field(default=60.0, ge=0)
    """How long it must have been so."""

    @model_validator(mode="after")
    def _ranges_are_ranges(self) -> Self:
        if not self.fewest <= self.actors <= self.most:
            raise ValueError(
                f"actors={self.actors} must lie between min_actors={self.fewest} and max_actors={self.most}"
            )
        if self.scale_down_below >= self.scale_up_above:
            raise ValueError(
                f"scale_down_below={self.scale_down_below:g} must be less than scale_up_above="
                f"{self.scale_up_above:g}, or the pool would grow and shrink without end"
            )
        return self

    @property
    def fewest(self) -> int:
        """Actors that are always kept."""
        return self.actors if self.min_actors is None else self.min_actors

    @property
    def most(self) -> int:
        """Actors there may ever be."""
        return self.actors if self.max_actors is None else self.max_actors

    @property
    def cpus(self) -> int:
        """CPUs that the most actors there may be take together."""
        return ceil(self.most * self.cpus_per_actor)
