import asyncio
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from openmic.core.records import AdapterRef
from openmic.training.pool.metrics import METRICS, SERVER_RESTARTS, TOKENS, Metric, _ray_metric

from ...waiting import until
from .cheap_engine import asked
from .test_pool_of_many import pool_of

REPORTED_S = 6.0
"""Processes report their metrics more often than this."""
DOCS = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def test_the_documentation_s_table_is_what_the_code_has() -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{metric.name}` | {metric.kind}{' by ' + ', '.join(metric.tags) if metric.tags else ''} | {metric.help} |"
        for metric in METRICS
    ]


@pytest.mark.usefixtures("ray_running")
@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_ray_takes_every_metric_and_refuses_tags_it_does_not_have(metric: Metric) -> None:
    metric.record(0.5, **dict.fromkeys(metric.tags, "1"))
    if metric.tags:
        with pytest.raises(ValueError, match="Missing value for tag"):
            metric.record(0.5)


@pytest.mark.usefixtures("ray_running")
def test_a_generation_without_tokens_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = _ray_metric(TOKENS)
    seen: list[float] = []
    monkeypatch.setattr(counted, "inc", lambda value, tags: seen.append(value))
    TOKENS.record(0)  # Ray's own counter raises
    TOKENS.record(3)
    assert seen == [3]


def prometheus_lines() -> list[str]:
    import ray

    [node] = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as page:
        return list(page.read().decode().splitlines())


def exported() -> dict[str, float]:
    """What Ray shows to Prometheus of our metrics: the sum of each over its tags, of a histogram its count."""
    found: dict[str, float] = {}
    for line in prometheus_lines():
        name, _, rest = line.partition("{")
        if name.startswith("ray_openmic_"):
            name = name.removeprefix("ray_").removesuffix("_count")
            found[name] = found.get(name, 0.0) + float(rest.rpartition(" ")[2])
    return found


def stale_at_most(versions: int) -> float:
    """How many answers were at most so many versions stale, as Ray shows it."""
    bucket = [line for line in prometheus_lines() if line.startswith("ray_openmic_adapter_staleness_bucket")]
    return sum(float(line.rpartition(" ")[2]) for line in bucket if f'le="{versions}.5"' in line)


async def settled() -> tuple[dict[str, float], list[float]]:
    """What earlier tests of the session have left, once all of it is reported: every number by name, and how stale."""
    seen: tuple[dict[str, float], list[float]] | None = None
    alike = 0  # on a busy machine a report may well come after the next is due
    while alike < 2:
        now = exported(), [stale_at_most(n) for n in range(3)]
        alike = alike + 1 if now == seen else 0
        seen = now
        await asyncio.sleep(REPORTED_S)
    assert seen is not None
    return seen


@pytest.mark.skipif(find_spec("opencensus") is None, reason="Ray exports metrics with its extra `default` alone")
@pytest.mark.usefixtures("ray_running")
def test_what_a_pool_does_can_be_read_where_ray_shows_it_to_prometheus(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with pool_of(tmp_path / "diary") as pool:
            await pool.generate(asked("warm-up"))
            await until(lambda: "openmic_adapter_staleness" in exported())  # so Ray shows what this process counts
            before, stale_before = await settled()

            def risen(name: str) -> float:
                return exported().get(name, 0.0) - before.get(name, 0.0)

            await pool.load_adapter(AdapterRef(1, "one"))
            await pool.load_adapter(AdapterRef(2, "two"))
            for version in (1, 2):
                pool.promote(version)
            long = [asyncio.ensure_future(pool.generate(asked(f"long{i}", 60))) for i in range(2)]
            await asyncio.gather(*(pool.generate(asked(f"r{i}", adapter=i % 3)) for i in range(12)))
            names = {metric.name for metric in METRICS if metric is not SERVER_RESTARTS}  # no server is here
            # Processes report every few seconds.
            await until(lambda: names <= exported().keys() and risen("openmic_tokens_total") >= 36)
            await until(lambda: exported()["openmic_queue_depth"] == 2)
            await until(lambda: exported()["openmic_actor_utilisation"] > 0.9)
            await until(lambda: risen("openmic_swap_pause_seconds") >= 4)
            await until(lambda: risen("openmic_adapter_staleness") >= 12)
            # Four answers each by versions that none, one and two of the promoted ones are newer than.
            assert [stale_at_most(n) - stale_before[n] for n in range(3)] == [4, 8, 12]
            await until(lambda: risen("openmic_batch_size") >= 2)
            for one in long:
                one.cancel()
            await asyncio.gather(*long, return_exceptions=True)

    asyncio.run(scenario())
