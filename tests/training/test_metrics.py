from pathlib import Path

import pytest

from openmic.training.metrics import METRICS, TOKENS, Metric

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


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
def test_a_generation_without_tokens_adds_nothing() -> None:
    TOKENS.record(0)  # Ray's own counter raises
