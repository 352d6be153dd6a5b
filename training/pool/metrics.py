"""Metrics that a run gives to Ray, by name. Ray serves them to Prometheus; docs/reference/metrics.md has a table.

Recording costs microseconds, and does nothing in a process without Ray.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """One metric: what it is called, what kind it is, and what it says."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    boundaries: tuple[float, ...] = ()
    """Of a histogram: the upper ends of its buckets."""
    tags: tuple[str, ...] = ()

    def record(self, value: float, **tags: str) -> None:
        """Add to a counter, set a gauge, or count a value in a histogram."""
        import ray

        if not ray.is_initialized() or (self.kind == "counter" and value <= 0):
            return
        metric = _ray_metric(self)
        if self.kind == "counter":
            metric.inc(value, tags=tags)
        elif self.kind == "gauge":
            metric.set(value, tags=tags)
        else:
            metric.observe(value, tags=tags)


QUEUE_DEPTH = Metric("openmic_queue_depth", "gauge", "Requests that wait for a student or are in flight to one.")
BATCH_SIZE = Metric(
    "openmic_batch_size",
    "histogram",
    "Sequences that were generated together.",
    boundaries=(1, 2, 4, 8, 16, 32, 64, 128, 256),
)
TOKENS = Metric("openmic_tokens_total", "counter", "Tokens that the students generated.")
UTILISATION = Metric(
    "openmic_actor_utilisation",
    "gauge",
    "Share of the last second in which a student had anything to do, from 0 to 1.",
    tags=("student",),
)
SWAP_PAUSE = Metric(
    "openmic_swap_pause_seconds",
    "histogram",
    "How long a student generated nothing because an adapter was being loaded.",
    boundaries=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STALENESS = Metric(
    "openmic_adapter_staleness",
    "histogram",
    "How many versions newer than an answer's adapter had been promoted when the answer came.",
    boundaries=(0.5, 1.5, 2.5, 4.5, 8.5),
)
SERVER_RESTARTS = Metric(
    "openmic_server_restarts_total", "counter", "How often a student's own vLLM server died and was started again."
)
METRICS = (QUEUE_DEPTH, BATCH_SIZE, TOKENS, UTILISATION, SWAP_PAUSE, STALENESS, SERVER_RESTARTS)


@cache
def _ray_metric(metric: Metric) -> Any:
    from ray.util.metrics import Counter, Gauge, Histogram

    if metric.kind == "counter":
        return Counter(metric.name, metric.help, tag_keys=metric.tags)
    if metric.kind == "gauge":
        return Gauge(metric.name, metric.help, tag_keys=metric.tags)
    return Histogram(metric.name, metric.help, boundaries=list(metric.boundaries), tag_keys=metric.tags)
