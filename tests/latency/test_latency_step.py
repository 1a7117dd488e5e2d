"""The equation of one step: parts add up, overlap from sum to maximum."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.latency.step import STEP_DTYPE, STEP_FIELDS, step_coefficients, step_parts

seconds = st.floats(0, 1)
overlaps = st.one_of(st.just(1.0), st.floats(1, 50), st.floats(900, 1100), st.just(1e6))


def parts(compute, storage, overlap):
    c = step_coefficients(compute_per_token=compute, storage_fixed=storage, overlap=overlap)[0]
    return step_parts(c, 1, 1, 1, 0, 0, 0, 0, 0)


@given(seconds, seconds)
def test_overlap_one_adds_compute_and_storage(compute, storage):
    assert parts(compute, storage, 1.0)[:2] == (compute, storage)


@given(seconds, seconds)
def test_overlap_without_bound_takes_the_larger(compute, storage):
    compute_part, storage_part, _, _ = parts(compute, storage, 1e9)
    assert compute_part + storage_part == pytest.approx(max(compute, storage), rel=1e-12)
    assert compute_part == (compute if compute >= storage else 0)


@given(seconds, seconds, overlaps)
def test_parts_are_never_negative_and_combine_between_maximum_and_sum(compute, storage, overlap):
    compute_part, storage_part, _, _ = parts(compute, storage, overlap)
    total = compute_part + storage_part
    assert compute_part >= 0
    assert storage_part >= 0
    assert max(compute, storage) * (1 - 1e-12) <= total <= (compute + storage) * (1 + 1e-12)


@given(st.floats(1e-6, 1), st.floats(1e-6, 1), st.floats(1.01, 20))
def test_parts_are_in_the_proportion_of_their_powers(compute, storage, overlap):
    compute_part, storage_part, _, _ = parts(compute, storage, overlap)
    combined = (compute**overlap + storage**overlap) ** (1 / overlap)
    share = compute**overlap / (compute**overlap + storage**overlap)
    assert compute_part == pytest.approx(combined * share, rel=1e-9, abs=1e-15)
    assert storage_part == pytest.approx(combined * (1 - share), rel=1e-6, abs=1e-15)


@given(st.lists(st.floats(0, 1e-3), min_size=14, max_size=14), st.integers(1, 4096))
def test_every_coefficient_multiplies_what_its_name_says(values, tokens):
    names = [name for name in STEP_FIELDS if name.startswith(("compute_per", "storage_f"))]
    names += ["storage_per_token", "storage_per_context", "storage_per_context_window"]
    names += ["storage_per_sequence"]
    names += ["transfer_fixed", "transfer_per_token", "overhead_fixed", "overhead_per_sequence"]
    v = dict(zip(names, values, strict=True))
    c = step_coefficients(**v)[0]
    compute, storage, transfer, overhead = step_parts(c, tokens, 3, 2, 50, 40, 30, 20, 10)
    assert compute == pytest.approx(
        v["compute_per_token"] * tokens
        + v["compute_per_sample"] * 2
        + v["compute_per_context"] * 50
        + v["compute_per_context_window"] * 40
        + v["compute_per_context_decode"] * 10
    )
    assert storage == pytest.approx(
        v["storage_fixed"]
        + v["storage_per_token"] * tokens
        + v["storage_per_context"] * 30
        + v["storage_per_context_window"] * 20
        + v["storage_per_sequence"] * 3
    )
    assert transfer == pytest.approx(v["transfer_fixed"] + v["transfer_per_token"] * tokens)
    assert overhead == pytest.approx(v["overhead_fixed"] + v["overhead_per_sequence"] * 3)


@pytest.mark.parametrize(
    ("tokens", "share"), [(0, 0.0), (1, 0.0), (2, 1 - math.exp(-0.5)), (9, 1 - math.exp(-4.0))]
)
def test_the_first_tokens_of_a_step_may_touch_nothing(tokens, share):
    c = step_coefficients(storage_experts=3.0, experts_log_miss=-0.5, experts_free=1.0)[0]
    assert step_parts(c, tokens, 1, 1, 0, 0, 0, 0, 0)[1] == pytest.approx(3.0 * share)


def test_a_step_reads_the_experts_that_its_tokens_hit():
    rng = np.random.default_rng(7)
    experts, per_token = 64, 6
    c = step_coefficients(storage_experts=1.0, experts_log_miss=math.log1p(-per_token / experts))[0]
    for tokens in (1, 4, 16, 60):
        drawn = rng.random((4000, tokens, experts)).argpartition(per_token, axis=2)[..., :per_token]
        hit = [len(np.unique(step)) / experts for step in drawn]
        error = 4 * np.std(hit) / math.sqrt(len(hit)) + 1e-12
        storage = step_parts(c, tokens, 1, 1, 0, 0, 0, 0, 0)[1]
        assert storage == pytest.approx(np.mean(hit), abs=error)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"computer": 1.0}, "unknown step coefficients: computer"),
        ({"storage_fixed": -1.0}, "storage_fixed must be >= 0, got -1.0"),
        ({"storage_fixed": math.nan}, "storage_fixed must be >= 0, got nan"),
        ({"overlap": 0.5}, "overlap must be >= 1, got 0.5"),
    ],
)
def test_coefficients_that_cannot_be_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        step_coefficients(**values)


def test_coefficients_not_given_are_zero():
    row = step_coefficients(window=128.0)
    assert row.shape == (1,)
    assert row.dtype.names == STEP_DTYPE.names
    assert {name: row[name][0] for name in STEP_FIELDS if row[name][0]} == {
        "window": 128.0,
        "overlap": 1.0,
    }
