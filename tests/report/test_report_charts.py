"""Charts: axes that can be read, knees where there are some."""

import itertools

import pytest

from planner.report.charts import calibration, latency, time, tradeoff
from planner.report.charts.style import figure, styled


def drawn(draw, **options):
    """Return the axes of a chart, laid out."""
    with styled():
        made = figure(0.66)
        draw(made, **options)
        made.draw_without_rendering()
    (axes,) = made.axes
    return axes


def labels(axis):
    """Return the labels of the ticks that are seen, from left to right, each with its extent."""
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
    return [
        (label.get_text(), label.get_window_extent()) for at, label in ticks if low <= at <= high
    ]


@pytest.mark.parametrize("longest", [0.002, 0.3, 1.8, 7.0, 15.8, 43.0, 99.0, 950.0])
def test_ticks_of_parts_do_not_run_into_each_other(longest):
    rows = {"mean": [0.2 * longest, 0.1 * longest], "p99": [0.5 * longest, 0.5 * longest]}
    axes = drawn(latency.parts, names=("compute", "storage"), rows=rows)
    found = labels(axes.xaxis)
    assert len(found) >= 3
    for (_, left), (_, right) in itertools.pairwise(found):
        assert left.x1 + 3 < right.x0


@pytest.mark.parametrize(("low", "high", "scale"), [(12, 50, "linear"), (20, 900, "log")])
def test_a_distribution_of_narrow_range_has_even_ticks(low, high, scale):
    curve = latency.Curve("all", (0.1, 0.5, 0.999), (low / 1e3, 2 * low / 1e3, high / 1e3))
    axes = drawn(latency.cdf, curves=[curve], marks=[])
    assert axes.get_xscale() == scale
    assert len(labels(axes.xaxis)) >= 3


def test_latency_against_load_starts_at_zero_unless_it_explodes():
    flat = tradeoff.LoadCurve("tpot p95", [(1, 0.02), (2, 0.022), (3, 0.03), (4, 0.05)])
    axes = drawn(tradeoff.load, curves=[flat], bounds=[], at=tradeoff.At())
    assert (axes.get_yscale(), axes.get_ylim()[0]) == ("linear", 0)
    steep = tradeoff.LoadCurve("ttft p95", [(1, 0.1), (2, 0.11), (3, 0.2), (4, 9.0)])
    axes = drawn(tradeoff.load, curves=[steep], bounds=[], at=tradeoff.At())
    assert axes.get_yscale() == "log"


def test_a_curve_that_is_nearly_straight_has_no_knee():
    assert tradeoff.knee([(0, 1.0), (1, 1.9), (2, 2.7), (3, 4.0)]) is None
    assert tradeoff.knee([(0, 1.0), (1, 1.1), (2, 1.3), (3, 4.0)]) == 2


def test_thousands_of_requests_are_separated():
    axes = drawn(time.lines, time_s=[0, 60], columns={"waiting": [0, 15_000]}, unit="requests")
    assert "10,000" in [text for text, _ in labels(axes.yaxis)]


def test_every_kind_of_change_of_a_fleet_is_named_in_full():
    changes = [(k, kind, 1000.0) for kind in time.CHANGES for k in range(250)]
    axes = drawn(time.replicas, time_s=[0, 3600], up=[1000.0, 1000.0], changes=changes)
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        f"{word} (250)" for _, _, word in time.CHANGES.values()
    ]
    assert legend.get_window_extent().x1 <= axes.figure.bbox.x1


@pytest.mark.parametrize(("least", "most"), [(30, 90), (25, 700), (1, 20_000)])
def test_residuals_have_several_numbers_on_their_axis(least, most):
    by_kind = {"decode": [(least, 0.02), (most, -0.1)]}
    axes = drawn(calibration.residuals, by_kind=by_kind, label="measured step, milliseconds")
    found = labels(axes.xaxis)
    assert len([text for text, _ in found if text]) >= 2
    for (_, left), (_, right) in itertools.pairwise(found):
        assert left.x1 + 3 < right.x0
