"""Metrics by hand: counts, throughput, percentiles, per class; overload cannot flatter."""

import numpy as np
import pytest
from records_factory import make_records

from planner.results.bootstrap import BlockBootstrap
from planner.results.intervals import Replications
from planner.results.metrics import choose_intervals, count, measure, throughput
from planner.results.records import FINISHED, REJECTED, RUNNING, WAITING


def choose(records, **changes):
    settings = {"seed": 1, "confidence": 0.95, "traffic_random": True, **changes}
    return choose_intervals(records, **settings)


def measured(records, **changes):
    return measure(records, choose(records), **changes)


def test_percentiles_of_a_hundred_known_requests():
    waits = np.arange(101.0)
    latency = measured([make_records(np.arange(101), waits, 0.0, 10.0)]).latency
    assert [latency["ttft"][s].value for s in ("p50", "p90", "p95", "p99")] == pytest.approx(
        [50, 90, 95, 99]
    )
    assert latency["wait"]["mean"].value == pytest.approx(50)
    assert latency["e2e"]["p50"].value == pytest.approx(60)
    assert latency["tpot"]["mean"].value == pytest.approx(1.0)


def test_the_value_over_replications_is_the_mean_of_their_percentiles():
    runs = [make_records(np.arange(100), wait, 0.0) for wait in (1.0, 2.0, 6.0)]
    estimate = measured(runs).latency["wait"]["p50"]
    assert estimate.value == pytest.approx(3.0)
    assert estimate.high - 3.0 == pytest.approx(4.302653 * np.std([1, 2, 6], ddof=1) / 3**0.5)


def test_random_replications_are_replications_and_the_rest_is_bootstrapped():
    run = make_records(np.arange(100))
    fixed = make_records(np.arange(100), random=False)
    assert isinstance(choose([run, run]), Replications)
    for records, changes, why in (
        ([run], {}, "one replication"),
        ([fixed], {}, "nothing in the traffic is random"),
        ([fixed, fixed], {}, "nothing in the traffic is random"),
        ([run, run], {"traffic_random": False}, "nothing in the traffic is random"),
    ):
        method = choose(records, **changes)
        assert isinstance(method, BlockBootstrap)
        assert why in method.statement


def test_a_percentile_asked_for_is_there_beside_the_usual_ones():
    latency = measured(
        [make_records(np.arange(50))], also=[("e2e", "p99.9"), ("ttft", "p95")]
    ).latency
    assert list(latency["e2e"]) == ["mean", "p50", "p90", "p95", "p99", "p99.9"]
    assert list(latency["ttft"]) == ["mean", "p50", "p90", "p95", "p99"]


def test_classes_have_metrics_of_their_own():
    records = make_records(
        np.arange(40), np.where(np.arange(40) % 2, 5.0, 1.0), 0.0,
        class_id=np.arange(40) % 2, class_names=("fast", "slow"),
    )  # fmt: skip
    values = [measured([records], class_id=k).latency["wait"]["p50"].value for k in (0, 1)]
    assert values == pytest.approx([1.0, 5.0])
    assert [measured([records], class_id=k).requests["arrived"] for k in (0, 1)] == [20, 20]


def test_counts_are_conserved_and_leave_out_requests_never_issued():
    status = np.array([FINISHED, FINISHED, WAITING, RUNNING, REJECTED, WAITING])
    arrival = np.array([0.0, 1, 2, 3, 4, np.nan])
    records = make_records(
        arrival, status=status, window=(0, 10), retries=np.array([0, 2, 1, 0, 0, 0])
    )
    counts = count([records, records])
    assert counts == {
        "arrived": 10, "finished": 4, "waiting": 2, "running": 2, "rejected": 2, "retried": 4,
    }  # fmt: skip
    assert counts["arrived"] == sum(
        counts[fate] for fate in ("finished", "waiting", "running", "rejected")
    )


def test_throughput_is_what_finished_in_the_window():
    # finish at 1.1 (before the window), 3.1, 4.1, 10.1 (after)
    records = make_records([0.0, 2, 3, 9], window=(2.0, 10.0), prompt_tokens=[1, 10, 30, 7])
    assert throughput([records]) == {
        "requests_per_s": 0.25,
        "output_tokens_per_s": 22 / 8,
        "prompt_tokens_per_s": 5.0,
    }


def test_an_empty_window_has_no_throughput():
    assert set(throughput([make_records([0.0], window=(1.0, 1.0))]).values()) == {None}


def test_unfinished_requests_cannot_flatter_a_percentile():
    status = np.where(np.arange(1000) < 930, FINISHED, WAITING)
    metrics = measured([make_records(np.arange(1000), np.arange(1000) / 1000, status=status)])
    assert metrics.unfinished == 70
    for metric in ("ttft", "e2e", "wait", "tpot"):
        assert metrics.latency[metric]["p90"].value is not None
        assert metrics.latency[metric]["p95"].value is None
        assert metrics.latency[metric]["p99"].value is None
        assert metrics.latency[metric]["mean"].value is None
    assert set(metrics.parts["ttft"]["p99"].values()) == {None}


def test_one_token_answers_are_counted_where_tpot_leaves_them_out():
    metrics = measured([make_records(np.arange(4), output_tokens=[1, 1, 2, 3])])
    assert metrics.one_token == 2
    assert metrics.latency["tpot"]["mean"].value == pytest.approx((1 / 1 + 1 / 2) / 2)


def test_no_request_at_all_has_no_metric_and_no_error():
    metrics = measured([make_records([0.5], status=REJECTED)])
    assert {each.value for by in metrics.latency.values() for each in by.values()} == {None}
    assert metrics.measured == 0


def test_a_class_that_is_absent_from_a_replication_keeps_the_others():
    both = make_records([0.0, 1], class_id=[0, 1], class_names=("a", "b"))
    only = make_records([0.0, 1], class_id=0, class_names=("a", "b"))
    estimate = measured([both, both, only], class_id=1).latency["ttft"]["p50"]
    assert estimate.value == pytest.approx(0.1)


def test_doubling_all_times_doubles_all_latencies():
    rng = np.random.default_rng(2)
    arrival, wait = np.sort(rng.uniform(0, 100, 400)), rng.exponential(1, 400)
    one, two = (
        measured([make_records(k * arrival, k * wait, k * 0.1, k * 1.0, window=(0, 100 * k))])
        for k in (1, 2)
    )
    for metric in ("ttft", "tpot", "e2e", "wait"):
        for statistic, estimate in one.latency[metric].items():
            other = two.latency[metric][statistic]
            assert other.value == pytest.approx(2 * estimate.value)
            assert other.high == (estimate.high and pytest.approx(2 * estimate.high))
