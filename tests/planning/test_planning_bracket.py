"""Which number of replicas is verified next, until the fewest that do are known."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from planner.planning.bracket import Bracket


def tried(replicas):
    tally = SimpleNamespace(ratio=1 / replicas)
    return SimpleNamespace(replicas=replicas, found=SimpleNamespace(tallies=[tally]))


@given(least=st.integers(1, 90), start=st.integers(1, 99))
def test_the_fewest_that_do_are_found_from_wherever_it_begins(least, start):
    bracket, at, count = Bracket(high=100, bad=0), start, 0
    while at is not None:
        at, count = bracket.following(tried(at), enough=at >= least), count + 1
        assert count < 30
    assert (bracket.good, bracket.bad) == (least, least - 1)
