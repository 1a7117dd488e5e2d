from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from planner.scenario.engine import Engine, Static
from planner.scenario.fleet import Event, Failures, Fleet, PriceChoice, TargetUtilisation
from planner.units import FROM_FILE

PRICE = TypeAdapter(PriceChoice)


def fleet(**changes):
    return Fleet(**{"device": "H100-SXM-80GB", **changes})


@given(
    utilisation=st.floats(0, 2), ordered=st.integers(1, 1000), target=st.floats(0.05, 1),
    low=st.integers(1, 50), more=st.integers(0, 50),
)  # fmt: skip
def test_the_autoscaler_orders_the_fewest_replicas_within_its_target(
    utilisation, ordered, target, low, more
):
    scaler = TargetUtilisation(target=target, min_replicas=low, max_replicas=low + more)
    wanted = scaler.replicas(utilisation, ordered)
    assert low <= wanted <= low + more
    load = ordered * utilisation
    if wanted < low + more:
        assert load <= wanted * target * (1 + 1e-6) + 1e-6
    if wanted > low:
        assert load > (wanted - 1) * target


@given(st.integers(1, 200), st.sampled_from([0.1, 0.3, 0.6, 0.7, 0.9]))
def test_a_pool_at_its_target_stays_as_it_is(ordered, target):
    scaler = TargetUtilisation(target=target, max_replicas=1000)
    assert scaler.replicas(target, ordered) == ordered


def test_times_to_failure_and_repair_are_exponential_with_the_given_means():
    failures, rng = Failures(mtbf=1000.0, mttr=10.0), np.random.default_rng(1)
    up = [failures.time_to_failure(rng) for _ in range(20_000)]
    down = [failures.time_to_repair(rng) for _ in range(20_000)]
    for draws, mean in ((up, 1000.0), (down, 10.0)):
        assert np.mean(draws) == pytest.approx(mean, rel=5 / np.sqrt(20_000))
        assert np.std(draws) == pytest.approx(mean, rel=10 / np.sqrt(20_000))
    assert failures.availability() == pytest.approx(1000 / 1010)


@pytest.mark.parametrize(
    ("events", "replicas", "message"),
    [
        (
            [("leave", 10, 3)], 2,
            "events.0.replicas: must be <= 2, the replicas there are at 10 s, got 3",
        ),
        (
            [("join", 20, 1), ("fail", 10, 3)], 2,
            "events.1.replicas: must be <= 2, the replicas there are at 10 s, got 3",
        ),
        (
            [("leave", 10, 1), ("fail", 20, 1), ("leave", 30, 1)], 2,
            "events.2.replicas: must be <= 0, the replicas there are at 30 s, got 1",
        ),
    ],
)  # fmt: skip
def test_events_take_away_only_replicas_that_are_there(events, replicas, message):
    planned = [Event(kind=kind, at=at, replicas=many) for kind, at, many in events]
    with pytest.raises(ValidationError) as caught:
        fleet(replicas=replicas, events=planned)
    assert message in str(caught.value)


def test_events_may_take_away_what_joined_before():
    planned = [Event(kind="fail", at=30, replicas=3), Event(kind="join", at=20)]
    assert fleet(replicas=2, events=planned).events[0].replicas == 3


@pytest.mark.parametrize("replicas", [1, 9])
def test_a_fleet_starts_within_its_autoscalers_bounds(replicas):
    scaler = TargetUtilisation(min_replicas=2, max_replicas=8)
    with pytest.raises(ValidationError, match=r"must be between .* \(2\) and max_replicas \(8\)"):
        fleet(replicas=replicas, autoscaler=scaler)


def test_an_autoscalers_bounds_are_in_order():
    with pytest.raises(
        ValidationError, match=r"min_replicas: must be <= max_replicas \(2\), got 3"
    ):
        TargetUtilisation(min_replicas=3, max_replicas=2)


def test_devices_are_counted_over_replicas_and_parallel_degrees():
    assert fleet(replicas=3, tensor_parallel=4, pipeline_parallel=2).devices == 24


@pytest.mark.parametrize(
    ("value", "price"),
    [("low", "low"), ("aws", "aws"), ("$2.5/h", 2.5), ("$48/d", 2.0), ("$0/h", 0.0)],
)
def test_a_price_is_a_column_or_dollars_per_time(value, price):
    assert PRICE.validate_python(value, context=FROM_FILE) == price
    dumped = PRICE.dump_python(price, mode="json")
    assert PRICE.validate_python(dumped, context=FROM_FILE) == price


@pytest.mark.parametrize("value", ["cheap", 2.5, "2.5/h", "$-1/h", "$1e999/h", None])
def test_other_prices_are_refused(value):
    with pytest.raises(ValidationError) as caught:
        PRICE.validate_python(value, context=FROM_FILE)
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"max_num_batched_tokens": 128},
            (
                "max_num_batched_tokens: must be >= max_num_seqs (256), since every running "
                "request needs one token of a step, got 128"
            ),
        ),
        (
            {"scheduler": Static(batch_size=300, timeout=1.0)},
            "scheduler.batch_size: must be <= max_num_seqs (256), got 300",
        ),
        ({"kv_tokens": 8}, "kv_tokens: must be at least one block, block_size (16), got 8"),
        (
            {"kv_tokens": 1000, "max_model_len": 2000},
            "max_model_len: must be <= kv_tokens (1000), got 2000",
        ),
    ],
)
def test_an_engines_limits_fit_together(changes, message):
    with pytest.raises(ValidationError) as caught:
        Engine(**changes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"block_size": 0}, {"block_size": 1.5}, {"gpu_memory_utilization": 0},
        {"gpu_memory_utilization": 1.01}, {"max_num_seqs": 0}, {"max_num_seqs": True},
        {"scheduler": {"kind": "static", "batch_size": 0, "timeout": 1}},
        {"scheduler": {"kind": "static", "batch_size": 1, "timeout": -1}},
        {"scheduler": {"kind": "prefill_first", "scheduler_recv_interval": 0}},
        {"scheduler": {"kind": "prefill_first", "scheduler_recv_interval": 2**63}},
    ],
)  # fmt: skip
def test_an_engines_limits_are_positive_and_fit_into_its_integers(changes):
    with pytest.raises(ValidationError):
        Engine(**changes)


def test_all_broken_limits_are_reported_at_once():
    with pytest.raises(ValidationError) as caught:
        Engine(max_num_batched_tokens=1, kv_tokens=1)
    assert "max_num_batched_tokens: must" in str(caught.value)
    assert "kv_tokens: must" in str(caught.value)
