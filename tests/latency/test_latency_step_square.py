"""The square has a formula of its own, since it is the usual overlap; it is the general one's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.latency.step import step_coefficients, step_parts


@given(compute=st.floats(1e-9, 1e3), storage=st.floats(1e-9, 1e3))
def test_an_overlap_of_two_is_the_limit_of_overlaps_near_it(compute, storage):
    square, near = (
        step_parts(
            step_coefficients(compute_per_token=compute, storage_fixed=storage, overlap=q)[0],
            1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        )
        for q in (2.0, 2.0 + 1e-12)
    )  # fmt: skip
    assert square == pytest.approx(near, rel=1e-9, abs=1e-15)
    assert sum(square) == pytest.approx((compute**2 + storage**2) ** 0.5, rel=1e-12)
