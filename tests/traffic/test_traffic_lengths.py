"""Lengths against their distributions."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from planner.errors import Notice
from planner.traffic.lengths import EmpiricalLengths, JointLengths, Lengths, LognormalLengths
from planner.traffic.marginals import EmpiricalLength, LognormalLength, Quantile, UniformLength
from planner.units import FROM_FILE

TRACES = Path(__file__).parents[2] / "scenarios" / "traces"


def rng(seed=1):
    return np.random.default_rng(seed)


def lengths(**keys):
    return TypeAdapter(Lengths).validate_python(keys, context=FROM_FILE)


def test_the_scenario_spelling_of_lognormal_lengths():
    spec = lengths(
        kind="lognormal",
        prompt={"mean": 400, "cv": 1.0, "max": 8000},
        output={"mean": 150, "cv": 0.8, "max": 2000},
    )
    assert spec == LognormalLengths(
        prompt=LognormalLength(mean=400, cv=1, max=8000),
        output=LognormalLength(mean=150, cv=0.8, max=2000),
    )


def test_each_side_may_have_a_distribution_of_its_own():
    spec = lengths(
        kind="independent",
        prompt={"kind": "lognormal", "mean": 400, "cv": 1},
        output={"kind": "fixed", "tokens": 150},
    )
    drawn = spec.draw(1000, rng(), TRACES)
    assert set(drawn.output.tolist()) == {150}
    assert len(set(drawn.prompt.tolist())) > 100


def test_changing_one_side_leaves_the_other_as_it_was():
    prompt = {"kind": "uniform", "min": 1, "max": 1000}
    one = lengths(kind="independent", prompt=prompt, output={"kind": "fixed", "tokens": 1})
    two = lengths(kind="independent", prompt=prompt, output={"kind": "uniform", "max": 9})
    assert (one.draw(50, rng(), TRACES).prompt == two.draw(50, rng(), TRACES).prompt).all()


def test_lognormal_lengths_have_the_mean_and_cv():
    n = 1_000_000
    drawn, notices = LognormalLength(mean=400, cv=0.8).draw(n, rng())
    assert drawn.mean() == pytest.approx(400, rel=5 * 0.8 / math.sqrt(n))
    # of the variance of a lognormal, whose kurtosis is about 30 here: sqrt(29 / n)
    assert drawn.std() / drawn.mean() == pytest.approx(0.8, rel=5 * math.sqrt(29 / n) / 2)
    assert notices == []


def test_lengths_set_to_a_bound_are_counted():
    drawn, notices = LognormalLength(mean=100, cv=1, min=50, max=200).draw(10_000, rng())
    assert (drawn.min(), drawn.max()) == (50, 200)
    free, _ = LognormalLength(mean=100, cv=1).draw(10_000, rng())
    assert notices == [
        Notice("lengths drawn below 50 tokens set to it", int((free < 50).sum())),
        Notice("lengths drawn above 200 tokens set to it", int((free > 200).sum())),
    ]


def test_notices_say_which_side():
    spec = lengths(
        kind="lognormal", prompt={"mean": 9, "cv": 1}, output={"mean": 9, "cv": 1, "max": 9}
    )
    texts = [notice.message for notice in spec.draw(1000, rng(), TRACES).notices]
    assert "output lengths drawn above 9 tokens set to it" in texts
    assert not any("prompt lengths drawn above" in text for text in texts)


def test_uniform_lengths_reach_both_bounds_equally_often():
    drawn, _ = UniformLength(min=3, max=6).draw(40_000, rng())
    values, number = np.unique(drawn, return_counts=True)
    assert values.tolist() == [3, 4, 5, 6]
    np.testing.assert_allclose(number, 10_000, atol=5 * math.sqrt(7500))


def test_a_list_is_drawn_from_equally():
    drawn, _ = EmpiricalLength(values=(5, 5, 7)).draw(30_000, rng())
    assert (drawn == 5).mean() == pytest.approx(2 / 3, abs=5 * math.sqrt(2 / 9 / 30_000))
    assert set(drawn.tolist()) == {5, 7}


def test_quantiles_come_back():
    table = ((0.5, 601), (0.9, 2371), (0.99, 5452), (1.0, 30712))
    spec = EmpiricalLength(quantiles=tuple(Quantile(p=p, tokens=t) for p, t in table))
    drawn, _ = spec.draw(400_000, rng())
    for p, tokens in table[:3]:
        assert (drawn <= tokens).mean() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / 4e5))
    assert drawn.min() >= 1
    assert drawn.max() <= 30712
    # half way between two rows lies the geometric mean of their lengths
    assert np.quantile(drawn, 0.7) == pytest.approx(math.sqrt(601 * 2371), rel=0.02)


def test_quantiles_may_say_what_the_shortest_is():
    spec = EmpiricalLength(quantiles=(Quantile(p=0, tokens=10), Quantile(p=1, tokens=10)))
    assert set(spec.draw(100, rng())[0].tolist()) == {10}


def test_joint_lengths_keep_the_pairs_of_the_file_and_empirical_ones_do_not(tmp_path):
    (tmp_path / "pairs.csv").write_text("prompt_tokens,output_tokens\n1,10\n2,20\n3,30\n")
    joint = JointLengths(path="pairs.csv").draw(3000, rng(), tmp_path)
    assert (joint.output == 10 * joint.prompt).all()
    apart = EmpiricalLengths(path="pairs.csv").draw(3000, rng(), tmp_path)
    assert set(apart.prompt.tolist()) == {1, 2, 3}
    assert abs(np.corrcoef(apart.prompt, apart.output)[0, 1]) < 5 / math.sqrt(3000)


def test_pairs_of_the_shipped_summaries_are_rows_of_the_file():
    name = "vidur_arxiv_summarization_lengths.csv.gz"
    table = np.loadtxt(TRACES / name, delimiter=",", skiprows=1, dtype=int)
    rows = set(map(tuple, table.tolist()))
    drawn = JointLengths(path=name).draw(500, rng(), TRACES)
    assert set(zip(drawn.prompt.tolist(), drawn.output.tolist(), strict=True)) <= rows
    assert len(rows) > 20_000


@given(
    mean=st.floats(1e-3, 1e8),
    cv=st.floats(0.001, 100),
    seed=st.integers(0, 99),
    low=st.integers(1, 50),
)
def test_lognormal_lengths_are_always_within_their_bounds(mean, cv, seed, low):
    drawn, _ = LognormalLength(mean=mean, cv=cv, min=low, max=low + 1000).draw(50, rng(seed))
    assert drawn.dtype == np.int32
    assert low <= drawn.min()
    assert drawn.max() <= low + 1000


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "fixed", "prompt": 0, "output": 1}, "greater than or equal to 1"),
        ({"kind": "fixed", "prompt": 1, "output": 10**12}, "less than or equal to 100000000"),
        ({"kind": "uniform", "prompt": {"min": 9, "max": 3}, "output": {"max": 3}}, "min <= max"),
        (
            {
                "kind": "lognormal",
                "prompt": {"mean": 9, "cv": 1, "min": 9, "max": 8},
                "output": {"mean": 9, "cv": 1},
            },
            "min <= max, got 9 > 8",
        ),
        ({"kind": "empirical"}, "either a 'path' or both"),
        ({"kind": "empirical", "prompt": {"values": [1]}}, "either a 'path' or both"),
        (
            {"kind": "empirical", "prompt": {"values": [1]}, "output": {}},
            "either 'values' or 'quantiles'",
        ),
        (
            {
                "kind": "empirical",
                "prompt": {"values": [1]},
                "output": {"quantiles": [{"p": 0.5, "tokens": 9}]},
            },
            "up to p = 1, got 0.5",
        ),
        (
            {
                "kind": "empirical",
                "prompt": {"values": [1]},
                "output": {"quantiles": [{"p": 0.5, "tokens": 9}, {"p": 1, "tokens": 8}]},
            },
            "increasing quantiles, got 8 tokens at p = 1",
        ),
    ],
)
def test_impossible_lengths_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        lengths(**keys)
