"""What a validation serves, and how long that takes."""

from types import SimpleNamespace

from calibrate.programme import Programme


def load(end_s, requests):
    return SimpleNamespace(
        drawn=SimpleNamespace(end_s=end_s), taken=SimpleNamespace(requests=range(requests))
    )


def test_a_load_over_saturation_takes_as_long_as_its_requests_do():
    below, over = load(8.0, 4), load(8.0, 1000)
    programme = Programme((below, over), range(10), saturation=2.0)
    assert [programme.load_s(each) for each in (below, over)] == [8.0, 500.0]
    assert programme.round_s == 8.0 + 500.0 + 5.0
