"""The benchmark of the store does what it says, in its quick form; its figures mean nothing here."""

import pytest

from .test_pool_benchmarks import quick


def test_what_was_written_is_read_in_every_way() -> None:
    result = quick("store", "--turns", "1000")
    parts = result["parts"]
    assert parts["turns"] == 1000
    kinds = {name.partition(":")[0] for name in parts["p95_ms"]}
    assert kinds == {"list", "show", "search", "page"}
    assert result["value"] == pytest.approx(max(parts["p95_ms"].values()))
    assert parts["rss_mb"]["most"] >= parts["rss_mb"]["at a tenth"] > 0
