"""A scenario on the device that its profile was measured on."""

from __future__ import annotations

import json

import pytest

from planner.catalog.profile import load_profile
from planner.errors import InputError
from planner.scenario.model import Scenario
from planner.simulation.provenance import profile_line
from planner.simulation.system import build_system

HARDWARE = {
    "name": "my machine",
    "kind": "cpu",
    "memory": 32e9,
    "bandwidth": 20e9,
    "peaks": {"bf16": 1e11},
}


def scenario(folder, hardware=None, **profile):
    content = load_profile("assumed").model_dump(mode="json") | {
        "name": "measured here",
        "device": "my machine",
        "devices": {},
        "hardware": hardware,
        "created": "2020-02-01",
        **profile,
    }
    (folder / "profile.json").write_text(json.dumps(content))
    return Scenario.model_validate(
        {
            "name": "test",
            "traffic": {
                "requests": 10,
                "arrivals": {"kind": "poisson", "rate": 1.0},
                "lengths": {"kind": "fixed", "prompt": 10, "output": 10},
            },
            "service": {"kind": "llm", "model": "llama-3.2-1b", "profile": "profile.json"},
            "fleet": {"device": "from_profile", "price": 1.0},
            "simulation": {"warmup": 0.0},
        }
    ).with_base_dir(folder)


def test_from_profile_is_the_device_that_the_profile_describes(tmp_path):
    system = build_system(scenario(tmp_path, HARDWARE))
    assert system.device.name == "my machine"
    assert system.device.bandwidth == 20e9
    assert "profile 'measured here' of 2020-02-01" in profile_line(system)
    assert "days old" in profile_line(system)


def test_a_profile_without_hardware_cannot_be_simulated_from(tmp_path):
    with pytest.raises(InputError, match=r"fleet.device: must be .*describes no device; measure"):
        build_system(scenario(tmp_path))


def test_hardware_of_another_name_than_the_profiles_device_is_refused(tmp_path):
    with pytest.raises(InputError, match="must have hardware of the name 'your machine'"):
        build_system(scenario(tmp_path, HARDWARE, device="your machine"))
