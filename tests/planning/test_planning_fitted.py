"""A search in which each device has the profile that was fitted to it."""

import pytest

HOPPER = ("plan.devices=[H100-SXM-80GB]", "plan.weights=[fp8]", "traffic.rate=30 req/s")
ADA = ("plan.devices=[L4]", "plan.weights=[fp8]", "traffic.rate=30 req/s")
BOTH = ("plan.devices=[H100-SXM-80GB, L4]", "plan.weights=[fp8]", "traffic.rate=30 req/s")
ASSUMED = "coefficients are assumed"


def numbers(option):
    outcomes = [(each.value, each.probability) for each in option.outcomes]
    return option.usd_per_hour, option.probability, outcomes


def told(plan, start):
    return [each for each in plan.notices if each.startswith(start)]


@pytest.mark.parametrize(("space", "own"), [(HOPPER, "h100-sxm-vllm"), (ADA, "assumed")])
def test_a_device_is_planned_by_its_own_profile(planned, space, own):
    fitted = planned(*space, "service.profile=fitted")
    named = planned(*space, f"service.profile={own}")
    assert numbers(fitted.recommendation.option) == numbers(named.recommendation.option)
    assert fitted.context.profile.startswith(f"profile {own!r}")
    assert bool(told(fitted, ASSUMED)) is (own == "assumed")
    assert fitted.method["coefficient_draws"] == (0 if own == "assumed" else 32)


def test_devices_that_were_measured_stand_beside_others_and_it_is_said(planned):
    plan = planned(*BOTH, "service.profile=fitted")
    found = {
        each.candidate.device_name: each
        for each in (plan.recommendation.option, *plan.alternatives)
    }
    apart = {
        "H100-SXM-80GB": planned(*HOPPER, "service.profile=h100-sxm-vllm"),
        "L4": planned(*ADA),
    }
    best = min(apart, key=lambda name: apart[name].recommendation.option.usd_per_hour)
    assert plan.recommendation.option.candidate.device_name == best
    assert numbers(found[best]) == numbers(apart[best].recommendation.option)
    (said,) = told(plan, "profiles: ")
    assert "h100-sxm-vllm for H100-SXM-80GB" in said
    assert "assumed for L4; speeds that are assumed stand beside measured ones" in said
    assert bool(told(plan, ASSUMED)) is (best == "L4")


def test_the_advice_beside_assumed_speeds_is_one_that_can_be_followed(planned):
    (said,) = told(planned(*BOTH), "profiles fitted to")
    assert "h100-sxm-vllm for H100-SXM-80GB" in said
    assert "service.profile: fitted" in said
    assert not told(planned(*BOTH, "service.profile=fitted"), "profiles fitted to")


def test_fitted_profiles_change_the_plan(planned):
    measured, assumed = planned(*HOPPER, "service.profile=fitted"), planned(*HOPPER)
    assert numbers(measured.recommendation.option) != numbers(assumed.recommendation.option)
