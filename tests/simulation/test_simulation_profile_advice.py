"""A profile fitted to one's device: advised beside assumed speeds, or taken where asked for."""

import json

import pytest
from command_line import LLM, planner

from planner.catalog.catalogue import find_device
from planner.catalog.profile import PACKAGED, load_profile
from planner.errors import InputError
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


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["service.settings.weights=fp8"], "h100-sxm-vllm"),
        (["service.settings.weights=fp8", "fleet.device=b200"], "b200-sxm-vllm"),
        (["service.settings.weights=int8"], "assumed"),
        (["fleet.device=L4", "service.settings.weights=fp8"], "assumed"),
    ],
)
def test_fitted_takes_the_one_of_the_device_and_the_assumed_one_where_there_is_none(
    changes, expected
):
    assert system(*changes, "service.profile=fitted").profile.name == expected


def test_a_device_written_out_shares_no_more_than_a_name_with_one_that_was_measured():
    device = find_device("H100-SXM-80GB").model_dump(mode="json", exclude_none=True)
    text = LLM.replace("{device: H100-SXM-80GB", f"{{device: {device}")
    overrides = ["service.settings.weights=fp8", "service.profile=fitted"]
    assert build_system(read_scenario(text, overrides=overrides)).profile.name == "assumed"


def test_fitted_needs_a_device_to_be_fitted_to():
    with pytest.raises(InputError, match="each profile has a device of its own") as refused:
        system("service.profile=fitted", "fleet.device=from_profile")
    assert [each.path for each in refused.value.problems] == ["fleet.device"]


@pytest.mark.parametrize(("weights", "none"), [("fp8", False), ("int8", True)])
def test_who_asks_for_a_fitted_one_is_told_that_there_is_none(weights, none):
    line = profile_line(system(f"service.settings.weights={weights}", "service.profile=fitted"))
    said = "none is fitted to vllm with such a model and weights on this device"
    assert (said in line) is none
    assert "no interval includes" in line
    assert said not in profile_line(system(f"service.settings.weights={weights}"))


def test_a_word_that_is_nearly_fitted_is_answered_with_it():
    with pytest.raises(InputError, match="did you mean 'fitted'"):
        system("service.profile=fited")


def test_a_sweep_over_devices_takes_the_profile_of_each(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(LLM, encoding="utf-8")
    made = {}
    for profile in ("fitted", "assumed", "h200-sxm-vllm"):
        ran = planner(
            "sweep", path, "--vary", "fleet.device=H100-SXM-80GB,H200-SXM-141GB,L4", "--json",
            "--set", f"service.profile={profile}", "--set", "service.settings.weights=fp8",
        )  # fmt: skip
        cells = json.loads(ran.out)["cells"]
        made[profile] = [(each.get("metrics") or {}).get("ttft_s") for each in cells]
    assert made["fitted"][2] == made["assumed"][2] is not None
    assert made["fitted"][1] == made["h200-sxm-vllm"][1] is not None
    assert made["fitted"][0] != made["assumed"][0]
    assert made["h200-sxm-vllm"][0] is None  # of another device
