"""What charts are drawn from: quantiles that agree with the percentiles, and the fleet in time."""

import numpy as np
import pytest
from records_factory import make_records

from planner.results.context import RunContext
from planner.results.course import MOST_CHANGES, SHARES, course, short
from planner.results.records import WAITING, FleetChange
from planner.results.summary import summarise

RNG = np.random.default_rng(1)


def result(records, **context):
    return summarise(records, RunContext("planner simulate x", "0", {"name": "x"}, 3, **context))


def records(n=400, **changes):
    return make_records(np.arange(n) / 4, wait=RNG.exponential(1.0, n), **changes)


@pytest.mark.parametrize("replications", [1, 3])
@pytest.mark.parametrize("random", [True, False])
def test_a_distribution_goes_through_the_percentiles_of_its_metric(replications, random):
    found = result([records() for _ in range(replications)], traffic_random=random).whole.metrics
    for metric in ("ttft", "tpot", "e2e", "wait"):
        for statistic in ("p50", "p90", "p95", "p99"):
            at = SHARES.index(float(statistic[1:]) / 100)
            assert found.distributions[metric][at] == pytest.approx(
                found.latency[metric][statistic].value, rel=1e-12
            )


def test_quantiles_among_unfinished_requests_are_not_known():
    status = np.full(100, 2)
    status[-20:] = WAITING
    found = result([records(100, status=status)]).whole.metrics.distributions["ttft"]
    unknown = [share for share, each in zip(SHARES, found, strict=True) if each is None]
    assert unknown == [share for share in SHARES if share >= 0.8]


def test_a_metric_without_values_has_no_distribution():
    found = result([records(output_tokens=1)]).whole.metrics.distributions
    assert set(found["tpot"]) == set(found["itl"]) == {None}


def test_an_overload_has_no_distribution_of_what_grows_without_end():
    found = result([records()], offered_per_s=4.0, saturation_per_s=1.0)
    assert not found.steady
    assert set(found.whole.metrics.distributions["e2e"]) == {None}
    assert None not in found.whole.metrics.distributions["tpot"]


def test_changes_after_the_traffic_and_beyond_the_most_are_counted_not_listed():
    changes = [FleetChange(k / 100, "fail", 1) for k in range(700)]
    changes.append(FleetChange(1e9, "join", 2))
    found = course(records(changes=tuple(changes)))
    assert len(found.to_json()["changes"]) == len(found.changes) == MOST_CHANGES
    assert found.changes_total == 700


def test_numbers_for_charts_have_six_digits():
    assert [short(each) for each in (0.123456789, 1234567.0, None)] == [0.123457, 1234570.0, None]
