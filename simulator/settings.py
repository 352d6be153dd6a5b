"""What the simulated cast can be told: how good its teacher is, and which faults and biases it shall have."""

from pydantic import BaseModel, ConfigDict, Field

from ..core.endpoints.simulated import FaultRates


class SimulatorSettings(BaseModel):
    """Settings of one simulated server. By default it is prompt, healthy and fair.

    All rates are probabilities in [0, 1]; what happens to a request is fixed by the hash of `seed` and the request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    """Another seed gives another cast: other demonstrations, other faults."""
    quality: float = Field(default=0.35, ge=0, le=1)
    """The share of the teacher's outputs that meet the critic's rubric."""
    latency_s: float = Field(default=0.0, ge=0)
    """Seconds every answer takes."""
    latency_jitter_s: float = Field(default=0.0, ge=0)
    """Up to so many seconds more, evenly distributed."""
    faults: FaultRates = Field(default_factory=dict)
    """How often each fault befalls a request, by its name in `core.endpoints.simulated`. Those that pass do so at most
    twice in a row for the same request."""
    retry_after_s: float = Field(default=1.0, ge=0)
    """What a 429 says of how long to wait, in seconds, where it says it."""
    prefer_first: float = Field(default=0.0, ge=0, le=1)
    """The probability with which the text shown first wins whatever the texts are."""
    prefer_long: float = 0.0
    """Added to a verdict's log-odds per unit of log length ratio (words); negative prefers the shorter text."""
    flip_rate: float = Field(default=0.0, ge=0, le=1)
    """How often a verdict is turned round, in both orders alike: p becomes 1 - p."""
    fair_judge: bool = False
    """Whether the judge is free of these three."""
    no_logprobs: bool = False
    """Answer `logprobs: null` even to those who ask for log-probabilities."""
    api_key: str | None = Field(default=None, repr=False)
    """The only key that is let in; None lets everybody in."""
