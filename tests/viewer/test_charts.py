import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openmic.viewer.charts import HEIGHT, MOST_POINTS, WIDTH, Rate, line_chart, rate_chart

VALUES = st.floats(-1e6, 1e6, allow_nan=False)
CURVES = st.lists(st.lists(st.tuples(st.integers(0, 10_000), VALUES), max_size=30), min_size=1, max_size=5)


def places(points: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (place.split(",") for place in points.split())]


@given(CURVES)
@example([[(0, 5e-324)], [(1, 0.0)]])
def test_all_of_a_drawing_lies_within_it(curves: list[list[tuple[int, float]]]) -> None:
    chart = line_chart(curves, "loss", "step")
    if not any(curves):
        assert chart is None
        return
    assert chart is not None
    for x, y in (place for points in chart.curves for place in places(points)):
        assert chart.left - 0.1 <= x <= chart.right + 0.1
        assert chart.top - 0.1 <= y <= chart.bottom + 0.1
    assert len(chart.y_ticks) >= 2
    assert all(-0.1 <= tick.at <= HEIGHT for tick in chart.y_ticks)
    assert all(-0.1 <= tick.at <= WIDTH for tick in chart.x_ticks)


def test_a_higher_value_lies_higher_and_a_later_step_further_right() -> None:
    chart = line_chart([[(1, 0.0), (2, 4.0)]], "loss", "step")
    assert chart is not None
    [(x1, y1), (x2, y2)] = places(chart.curves[0])
    assert x1 < x2
    assert y1 > y2


def test_what_is_no_number_is_left_out() -> None:
    chart = line_chart([[(1, math.nan), (2, 1.0), (3, math.inf)]], "loss", "step")
    assert chart is not None
    assert len(places(chart.curves[0])) == 1
    assert line_chart([[(1, math.nan)]], "loss", "step") is None


def test_a_long_curve_is_thinned() -> None:
    chart = line_chart([[(step, float(step % 7)) for step in range(10_000)]], "loss", "step")
    assert chart is not None
    assert len(places(chart.curves[0])) <= MOST_POINTS


@pytest.mark.parametrize("number", [1, 2, 40])
def test_a_rate_lies_within_its_interval(number: int) -> None:
    chart = rate_chart([Rate(f"v{i}", 0.5, 0.25, 1.0, "promoted") for i in range(number)], "rate", "adapter")
    assert len(chart.marks) == number
    assert len(chart.x_ticks) <= 16
    for mark in chart.marks:
        assert mark.low is not None
        assert mark.high is not None
        assert mark.low > mark.y > mark.high == chart.top
    assert "v0 50.0% (25.0% to 100.0%)" in chart.description
