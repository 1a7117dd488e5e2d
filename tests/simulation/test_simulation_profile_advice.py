"""Who simulates with assumed speeds is told of a profile that was fitted to their engine."""

import pytest
from command_line import LLM

from planner.catalog.catalogue import find_device
from planner.catalog.profile import PACKAGED, load_profile
from planner.scenario.reader import read_scenario
from planner.simulation.provenance import fitted_profile, profile_line
from planner.simulation.system import build_system


def system(*changes):
    return build_system(read_scenario(LLM, overrides=changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["service.settings.weights=fp8"], "h100-sxm-vllm"),
        (["service.settings.weights=bf16"], "h100-sxm-vllm-fp16"),
        (["service.settings.weights=int8"], ""),  # no measurement has it
        (["service.model=gpt-oss-120b", "service.settings.weights=mxfp4"], "h100-sxm-vllm-moe"),
        (
            [
                "service.model=gpt-oss-120b",
                "service.settings.weights=fp8",
                "fleet.tensor_parallel=4",
            ],
            "h100-sxm-vllm-minimax",  # experts in FP8 as well
        ),
        (["fleet.device=L4"], ""),
        (["service.profile=h100-sxm-vllm"], ""),  # it is used already
    ],
)
def test_a_profile_is_named_where_one_was_fitted_to_the_same(changes, expected):
    assert fitted_profile(system(*changes)) == expected


def test_the_line_names_it_for_a_simulation_and_not_for_a_plan():
    here = system("service.settings.weights=fp8")
    said = "service.profile: h100-sxm-vllm is fitted to measurements of vllm on this device"
    assert profile_line(here, advise=True).endswith(said)
    assert said not in profile_line(here)


@pytest.mark.parametrize("name", PACKAGED)
def test_what_is_named_can_be_used_in_its_place(name):
    profile = load_profile(name)
    evidence = profile.evidence
    if evidence is None or profile.engine != "vllm":
        return
    model, weights = evidence.models[0], evidence.formats[0]
    link = find_device(profile.device).link
    joined = 1 if link is None else min(8, link.devices)
    changes = [
        f"service.model={model}", f"service.settings.weights={weights}",
        f"fleet.device={profile.device}", f"fleet.tensor_parallel={joined}",
    ]  # fmt: skip
    found = fitted_profile(system(*changes))
    assert model in load_profile(found).evidence.models
    assert system(*changes, f"service.profile={found}").profile.name == found
