"""Parts add up to what they are the parts of."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records_factory import SHARES_FIRST, make_records

from planner.results.attribution import Attributed, attribute
from planner.results.measured import Measured
from planner.results.records import PARTS


def attributed(records, metric="ttft"):
    run = Measured(records)
    parts = records.parts_first if metric == "ttft" else records.parts_end
    return Attributed(run.sample(metric), parts[run.rows])


@given(
    waits=st.lists(st.floats(0, 100), min_size=1, max_size=50),
    prefill=st.floats(1e-3, 10),
    statistic=st.sampled_from(["mean", "p50", "p95", "p99"]),
    metric=st.sampled_from(["ttft", "e2e"]),
)
def test_parts_add_up_to_the_statistic(waits, prefill, statistic, metric):
    records = make_records(np.arange(len(waits)), waits, prefill, 2.0)
    one = attributed(records, metric)
    value = (
        float(one.sample.values.mean())
        if statistic == "mean"
        else one.sample.quantile(float(statistic[1:]) / 100)
    )
    parts = attribute([one], statistic, value)
    assert tuple(parts) == PARTS
    assert sum(parts.values()) == pytest.approx(value, rel=1e-9)


def test_parts_of_the_mean_are_the_means_of_the_parts():
    parts = attribute([attributed(make_records([0, 1], [0.0, 3.0], 0.8))], "mean", 2.3)
    assert list(parts.values()) == pytest.approx([1.5, *(0.8 * SHARES_FIRST)])


def test_a_tail_made_of_waiting_is_attributed_to_waiting():
    waits = np.where(np.arange(1000) % 20 == 0, 9.0, 0.0)  # every twentieth waits
    one = attributed(make_records(np.arange(1000), waits, 1.0))
    median, tail = (
        attribute([one], s, one.sample.quantile(q)) for s, q in (("p50", 0.5), ("p99", 0.99))
    )
    assert median["wait"] == 0.0
    assert tail["wait"] == pytest.approx(9.0)
    assert sum(tail.values()) == pytest.approx(10.0)


def test_parts_over_replications_add_up_to_the_mean_of_their_percentiles():
    rng = np.random.default_rng(1)
    runs = [
        attributed(make_records(np.arange(500), rng.exponential(1, 500), 0.5)) for _ in range(3)
    ]
    value = float(np.mean([run.sample.quantile(0.95) for run in runs]))
    assert sum(attribute(runs, "p95", value).values()) == pytest.approx(value, rel=1e-12)


def test_parts_that_do_not_add_up_are_not_hidden():
    one = attributed(make_records(np.arange(100), 1.0, 1.0))
    broken = Attributed(one.sample, one.parts * 0.5)
    assert sum(attribute([broken], "p50", 2.0).values()) == pytest.approx(1.0)


def test_an_unknown_value_has_unknown_parts():
    one = attributed(make_records(np.arange(10), 1.0))
    assert attribute([one], "p99", None) == dict.fromkeys(PARTS)
    empty = attributed(make_records([0.0], status=0))
    assert attribute([empty], "mean", 1.0) == dict.fromkeys(PARTS)
    assert all(math.isnan(part) for part in empty.at(0.5))


def test_a_latency_of_zero_has_parts_of_zero():
    one = attributed(make_records([0, 1], 0.0, 0.0, 0.0))
    assert set(attribute([one], "p50", 0.0).values()) == {0.0}
