"""Objectives: met by the value, sure by the interval, never met without a steady state."""

import numpy as np
import pytest
from records_factory import make_records

from planner.results.metrics import choose_intervals, measure
from planner.results.objectives import evaluate, wanted_statistics
from planner.results.records import FINISHED, REJECTED, WAITING
from planner.scenario.objectives import parse_objectives


def outcomes(text, *records, **changes):
    objectives = parse_objectives(text)
    intervals = choose_intervals(records, seed=1, confidence=0.95, traffic_random=True)
    metrics = measure(records, intervals, also=wanted_statistics(objectives))
    return evaluate(objectives, metrics, records, intervals, **changes)


def one(text, *records, **changes):
    return outcomes(text, *records, **changes)[0]


def spread(n=1000, top=1.0, seed=1):
    waits = np.random.default_rng(seed).uniform(0, top, n)
    return make_records(np.arange(n), waits, 0.0, 1.0)


@pytest.mark.parametrize(
    ("text", "met", "sure"),
    [
        ("wait:p95<2s", True, True),
        ("wait:p95<960ms", True, False),
        ("wait:p95<950ms", False, False),
        ("wait:p95<500ms", False, True),
        ("wait:mean<1s", True, True),
        ("wait:p99.5<1s", True, False),  # 5 of 1,000 lie beyond: not bounded above
    ],
)
def test_a_latency_objective_is_met_by_its_value_and_sure_by_its_interval(text, met, sure):
    outcome = one(text, spread())
    assert (outcome.met, outcome.sure) == (met, sure)
    assert outcome.objective == text


def test_strict_and_not_strict_differ_at_the_bound():
    records = make_records(np.arange(100) * 8.0, 0.5, 0.0)  # exact in binary
    assert not one("wait:p95<500ms", records).met
    assert one("wait:p95<=500ms", records).met
    assert not one("goodput{wait<500ms}>=0.5", records).met
    assert one("goodput{wait<=500ms}>=0.5", records).met


def test_goodput_counts_requests_that_meet_all_bounds():
    waits = np.where(np.arange(200) % 4 == 0, 3.0, 0.0)  # a quarter waits
    decode = np.where(np.arange(200) % 2 == 1, 5.0, 1.0)  # another half is slow: tpot 0.5 s
    records = make_records(np.arange(200), waits, 0.0, decode)
    assert one("goodput{wait<1s}>=0.7", records).value == 0.75
    assert one("goodput{wait<1s,tpot<200ms}>=0.2", records).value == 0.25
    outcome = one("goodput{wait<1s}>=0.99", records)
    assert not outcome.met
    assert outcome.sure
    assert outcome.is_share
    assert 0 < outcome.low < 0.75 < outcome.high < 1


def test_rejected_and_unfinished_requests_are_not_good():
    status = np.array([FINISHED] * 80 + [REJECTED] * 10 + [WAITING] * 10)
    assert one("goodput{e2e<100s}>=0.9", make_records(np.arange(100), status=status)).value == 0.8


def test_a_one_token_answer_meets_any_bound_on_tpot():
    records = make_records(np.arange(100), output_tokens=np.where(np.arange(100) < 50, 1, 2))
    assert one("goodput{tpot<1us}>=0.9", records).value == 0.5


def test_goodput_of_no_requests_is_unknown_and_not_met():
    records = make_records([50.0], window=(0.0, 10.0))
    outcome = one("goodput{e2e<1s}>=0.5", records)
    assert (outcome.value, outcome.met, outcome.sure) == (None, False, False)


def test_without_a_steady_state_nothing_is_met_and_that_is_sure():
    for outcome in outcomes("wait:p95<9s; goodput{e2e<99s}>=0.01", spread(), steady=False):
        assert not outcome.met
        assert outcome.sure


def test_a_percentile_among_unfinished_requests_is_not_met():
    status = np.where(np.arange(100) < 90, FINISHED, WAITING)
    outcome = one("e2e:p99<1h", make_records(np.arange(100), status=status))
    assert (outcome.value, outcome.met) == (None, False)


def test_replications_judge_goodput_too():
    runs = [spread(seed=seed) for seed in range(4)]
    outcome = one("goodput{wait<900ms}>=0.85", *runs)
    assert outcome.value == pytest.approx(0.9, abs=0.02)
    assert outcome.met
    assert outcome.low < outcome.value < outcome.high


def test_a_class_is_judged_by_its_own_requests():
    records = make_records(
        np.arange(100), np.where(np.arange(100) % 2, 5.0, 0.0), 0.0,
        class_id=np.arange(100) % 2, class_names=("fast", "slow"),
    )  # fmt: skip
    objectives = parse_objectives("goodput{wait<1s}>=0.9")
    intervals = choose_intervals([records], seed=1, confidence=0.95, traffic_random=True)
    for class_id, met in ((0, True), (1, False)):
        metrics = measure([records], intervals, class_id=class_id)
        got = evaluate(objectives, metrics, [records], intervals, class_id=class_id)
        assert got[0].met is met
