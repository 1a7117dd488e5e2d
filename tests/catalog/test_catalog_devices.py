"""Devices: found by name and alias, every number with its source."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from planner.catalog.catalogue import device_names, find_device
from planner.catalog.devices import Device
from planner.catalog.provenance import GIVEN
from planner.errors import InputError
from planner.units import FROM_FILE

GIB = 2.0**30


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("H100", "H100-SXM-80GB"),
        ("h100-sxm-80gb", "H100-SXM-80GB"),
        ("H100_SXM 80GB", "H100-SXM-80GB"),
        ("NVIDIA H100 80GB HBM3", "H100-SXM-80GB"),
        ("h100 pcie", "H100-PCIe-80GB"),
        ("H200", "H200-SXM-141GB"),
        ("l4", "L4"),
        ("GB200 (per GPU)", "GB200"),
        ("mi300x", "MI300X"),
        ("CPU: 1x EPYC 9654-class (Genoa, 96c)", "EPYC-9654"),
    ],
)
def test_a_device_is_found_whatever_the_case_and_punctuation(name, found):
    assert find_device(name).name == found


def test_an_ambiguous_name_is_refused_with_the_devices_that_it_may_be():
    with pytest.raises(InputError) as error:
        find_device("a100")
    assert str(error.value) == (
        "must be one device, got 'a100', which may be "
        "'A100-SXM-40GB', 'A100-SXM-80GB', 'A100-PCIe-80GB'"
    )


def test_an_unknown_name_is_refused_with_near_names_and_what_would_supply_it():
    with pytest.raises(InputError, match=r"got 'RTX-4080'; did you mean 'RTX-4090'.*inline"):
        find_device("RTX-4080")


@given(st.text(max_size=60))
def test_any_name_gives_a_device_or_an_input_error(name):
    try:
        device = find_device(name)
    except InputError as error:
        assert "device" in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert device.name in device_names()


def test_the_catalogue_has_the_devices_with_their_datasheet_numbers():
    assert len(device_names()) == 37
    h100 = find_device("H100-SXM-80GB")
    assert h100.peaks["bf16"] == 989e12
    assert h100.peaks["fp8"] == 1979e12
    assert h100.bandwidth == 3350e9
    assert h100.link is not None
    assert h100.link.bandwidth == 450e9
    assert h100.power == 700
    assert h100.prices == {"low": 1.99, "aws": 6.88, "azure": 12.29, "high": 12.29}


@pytest.mark.parametrize("name", device_names())
def test_every_number_of_a_device_has_a_source(name):
    device = find_device(name)
    paths = {"bandwidth"}
    paths |= {f"peaks.{key}" for key in device.peaks} | {f"prices.{key}" for key in device.prices}
    for key in ("memory", "power", "host_bandwidth"):
        paths |= {key} if getattr(device, key) is not None else set()
    if device.link:
        paths |= {"link.bandwidth", "link.devices"}
    assert paths == set(device.origins)
    assert all(len(origin.source) > 5 for origin in device.origins.values())


@pytest.mark.parametrize("name", device_names())
def test_no_gpu_shows_more_memory_than_its_name_promises(name):
    device = find_device(name)
    sizes = [int(word[:-2]) for word in name.split("-") if word.endswith("GB") and word[:-2]]
    if sizes and device.memory is not None:
        assert 0.9 < device.memory / GIB / sizes[0] < 1.0


def test_an_80_gb_h100_has_79_18_gib_measured():
    h100 = find_device("H100-SXM-80GB")
    assert h100.memory == 79.18 * GIB
    assert h100.origin("memory").provenance == "measured"


def test_a_price_that_is_missing_is_refused_with_those_that_there_are():
    assert find_device("H100").price("aws") == 6.88
    with pytest.raises(InputError, match=r"'A10G' has no price 'low'; it has: aws \(\$1.006/h\)"):
        find_device("A10G").price("low")


def test_an_inline_device_needs_units_in_a_file_and_is_given_by_the_user():
    content = {"bandwidth": "1 TB/s", "memory": "24 GiB", "peaks": {"bf16": "100 TFLOP/s"}}
    device = Device.model_validate(content, context=FROM_FILE)
    assert (device.bandwidth, device.memory, device.peaks) == (1e12, 24 * GIB, {"bf16": 1e14})
    assert device.origin("memory") == GIVEN
    with pytest.raises(ValidationError, match="must be a bandwidth with a unit, got 1000"):
        Device.model_validate({**content, "bandwidth": 1000}, context=FROM_FILE)
    with pytest.raises(ValidationError, match="bf17"):
        Device.model_validate({**content, "peaks": {"bf17": "1 TFLOP/s"}}, context=FROM_FILE)
