"""How the simulated cast behaves, with the faults it has on request: all that befalls those who ask endpoints."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from ..section import Section

PASSING = {
    "401": "the key is refused",
    "402": "the account has no credit",
    "403": "access is forbidden",
    "404": "there is no such model",
    "408": "the request took too long to arrive",
    "409": "there was a conflict",
    "429": "too many requests; nothing is said of how long to wait",
    "429_retry_after": "too many requests; `Retry-After` says for how many seconds to wait",
    "429_date": "too many requests; `Retry-After` says until when",
    "429_ms": "too many requests; `retry-after-ms` says for how long",
    "429_reset": "too many requests; `x-ratelimit-reset-requests` says when there are more",
    "429_field": "too many requests; the body's field `retryDelay` says for how long to wait",
    "429_words": "too many requests; the message says for how long to wait",
    "500": "the server fails",
    "502": "a gateway finds nobody behind it",
    "503": "the server is loading",
    "504": "a gateway waits in vain",
    "timeout": "no answer, for as long as anybody waits",
    "drip": "an answer that comes a byte at a time and never ends",
    "hang_up": "the connection is closed before an answer",
    "half_answer": "the connection is closed in the middle of the answer",
    "broken_body": "the answer is no JSON",
    "empty_body": "the answer is empty",
    "error_in_200": "the answer is an error, with status 200",
}
"""What befalls an attempt: another one at the same request gets through, the third at the latest."""

LASTING = {
    "filtered": "the request is refused by a content filter, with status 400",
    "filtered_reply": "a content filter takes the reply's words away",
    "refusal": "the model declines in words",
    "empty_reply": "the model says nothing",
    "cut_off": "the reply ends in the middle",
    "broken_json": "what should be JSON is cut off, fenced, wrapped in prose or in single quotes",
}
"""What befalls a request, whenever it is made."""

FAULTS = PASSING | LASTING


def _rates(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    faults = {str(kind): rate for kind, rate in given.items()}
    if unknown := [kind for kind in faults if kind not in FAULTS]:
        raise ValueError(f"there is no fault {unknown[0]!r}; there are {', '.join(FAULTS)}")
    for kind, rate in faults.items():
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise ValueError(f"{kind}: {rate!r} is no share of requests; give a number from 0 to 1")
    if (total := sum(rate for kind, rate in faults.items() if kind in PASSING)) > 1:
        raise ValueError(f"{total:g} is more than all requests; lower the rates of those faults that pass to 1 in all")
    return faults


FaultRates = Annotated[dict[str, float], BeforeValidator(_rates)]
"""How often each fault befalls a request, from 0 to 1, by its name in `FAULTS`."""


class SimulatedCastSettings(Section):
    """How the simulated cast behaves where it plays a role."""

    seed: int | None = Field(default=None, ge=0, lt=2**31)
    """Another seed is another cast, with other texts and moods. None: the run's."""
    quality: float = Field(default=0.35, ge=0, le=1)
    """Share of the simulated teacher's outputs that meet the simulated critic's rubric."""
    latency_s: float = Field(default=0.0, ge=0)
    """Seconds every reply takes."""
    faults: FaultRates = Field(default_factory=dict)
    """Faults by kind, each with its share of requests, such as `{429: 0.1, timeout: 0.02}`; `openmic simulate --help`
    names them all. Those that pass befall a request twice in a row at most."""
    retry_after_s: float = Field(default=1.0, ge=0)
    """Seconds to wait that a 429 tells of where it does."""
    prefer_first: float = Field(default=0.0, ge=0, le=1)
    """Probability that a comparison goes to the text shown first, whatever it says."""
    prefer_long: float = 0.0
    """Log-odds added to a comparison per unit of log length ratio in words; negative prefers the shorter text."""
    flip_rate: float = Field(default=0.0, ge=0, le=1)
    """Share of comparisons whose verdict is turned round."""
    fair_judge: bool = False
    """Whether the judge is free of these three: it prefers no place and no length, and turns nothing round."""
    no_logprobs: bool = False
    """Whether the cast withholds log-probabilities, as some endpoints do."""
