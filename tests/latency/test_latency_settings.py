"""Settings: bytes, arithmetic and speedups of data types and pruning."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import ValidationError

from planner.catalog.catalogue import find_device
from planner.catalog.formats import formats
from planner.catalog.profile import Profile, load_profile
from planner.errors import InputError
from planner.latency.settings import (
    ActivationDtype,
    KvDtype,
    Pattern,
    Pruning,
    Settings,
    WeightDtype,
)

ASSUMED = load_profile("assumed")


def test_every_choice_has_its_numbers_and_every_number_its_choice():
    assert set(formats().weights) == set(get_args(WeightDtype))
    assert set(formats().kv_cache) == set(get_args(KvDtype))
    assert set(formats().activations) == set(get_args(ActivationDtype))
    assert set(formats().pruning) == set(get_args(Pattern))


@pytest.mark.parametrize(
    ("weights", "layer_bytes", "expert_bytes", "compute", "plain"),
    [
        ("fp32", 4, 4, "fp32", "fp32"),
        ("bf16", 2, 2, "bf16", "bf16"),
        ("fp16", 2, 2, "fp16", "fp16"),
        ("fp8", 1, 1, "fp8", "bf16"),
        ("int8", 1, 1, "int8", "bf16"),
        ("int4", (4 + 20 / 128) / 8, (4 + 20 / 128) / 8, "bf16", "bf16"),
        ("fp4", 4.5 / 8, 4.5 / 8, "fp4", "bf16"),
        ("mxfp4", 2, 4.25 / 8 * 3072 / 2880, "bf16", "bf16"),
    ],
)
def test_a_weight_format_says_what_is_stored_and_what_is_computed(
    weights, layer_bytes, expert_bytes, compute, plain
):
    settings = Settings(weights=weights)
    assert settings.layer_bytes == pytest.approx(layer_bytes)
    assert settings.expert_bytes == pytest.approx(expert_bytes)
    assert (settings.compute_dtype, settings.plain_dtype) == (compute, plain)


def test_weight_only_quantisation_computes_in_the_activations_type():
    settings = Settings(weights="fp8", activations="fp16")
    assert (settings.compute_dtype, settings.plain_dtype) == ("fp16", "fp16")
    assert settings.layer_bytes == 1
    with pytest.raises(ValidationError, match="activations must be one of bf16 for bf16 weights"):
        Settings(weights="bf16", activations="fp8")


@pytest.mark.parametrize(
    ("pruning", "layer_bytes", "flops"),
    [
        ({}, 2, 1),
        ({"pattern": "unstructured", "rate": 0.5}, 2, 1),
        ({"pattern": "structured", "rate": 0.25}, 1.5, 0.75),
        ({"pattern": "2:4"}, 1.125, 1),  # half the values and 1 bit per original weight
    ],
)
def test_pruning_removes_bytes_and_flops_as_its_pattern_says(pruning, layer_bytes, flops):
    settings = Settings(pruning=Pruning(**pruning))
    assert settings.layer_bytes == pytest.approx(layer_bytes)
    assert settings.flops_left == flops


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"rate": 0.5}, "rate must be 0 without a pattern, got 0.5"),
        ({"pattern": "2:4", "rate": 0.4}, "rate must be 0.5 for '2:4', got 0.4"),
        ({"pattern": "structured"}, "rate must be above 0 and below 1 for 'structured', got 0"),
        ({"pattern": "structured", "rate": 1.0}, "rate must be above 0 and below 1"),
    ],
)
def test_a_rate_that_does_not_fit_its_pattern_is_refused(pruning, message):
    with pytest.raises(ValidationError, match=message):
        Pruning(**pruning)


def test_a_device_without_the_peak_is_refused_with_what_is_available():
    a100 = find_device("A100-SXM-80GB")
    with pytest.raises(InputError) as error:
        Settings(weights="fp8").check(a100)
    assert str(error.value) == (
        "service.settings: must compute in a data type that 'A100-SXM-80GB' has a peak for, got "
        "fp8 (fp8 weights); it has: fp32, bf16, fp16, int8; "
        "write activations: bf16 to compute fp8 weights in bf16"
    )
    Settings(weights="fp8", activations="bf16").check(a100)
    with pytest.raises(InputError, match=r"got fp32 .*choose weights of one of these"):
        Settings(weights="fp32").check(find_device("TPU-v5e"))
    with pytest.raises(InputError, match=r"write the device inline with peaks: \{bf16: \.\.\."):
        Settings().check(find_device("EPYC-9654"))


def factors(settings, part, *kinds, profile=ASSUMED):
    return [(number.value, number.provenance) for number in settings.speedup(part, profile, *kinds)]


def test_what_everything_is_relative_to_has_no_factor():
    assert factors(Settings(), "storage", "weights", "kv_cache", "pruning") == []


def test_a_factor_is_one_until_it_is_measured():
    int4 = Settings(weights="int4", kv_cache="fp8")
    assert factors(int4, "compute", "weights", "kv_cache") == [(1, "assumed"), (1, "assumed")]


def test_unstructured_pruning_gives_no_speed_which_was_measured():
    pruned = Settings(pruning=Pruning(pattern="unstructured", rate=0.5))
    assert factors(pruned, "compute", "pruning") == [(1, "measured")]
    assert factors(pruned, "storage", "pruning") == [(1, "measured")]


def test_two_of_four_gets_the_1_39_measured_from_bytes_and_factor():
    settings = Settings(weights="fp8", pruning=Pruning(pattern="2:4"))
    ((factor, provenance),) = factors(settings, "storage", "pruning")
    assert provenance == "measured"
    assert factor / settings.layer_bytes == pytest.approx(1.39, abs=0.005)


def test_a_profiles_own_factor_replaces_the_catalogues():
    measured = {"value": 0.7, "provenance": "measured", "source": "calibrate"}
    profile = Profile.model_validate(
        ASSUMED.model_dump(mode="json") | {"settings": {"weights.int4": {"compute": measured}}}
    )
    int4 = Settings(weights="int4")
    assert factors(int4, "compute", "weights", profile=profile) == [(0.7, "measured")]
    assert factors(int4, "storage", "weights", profile=profile) == [(1, "assumed")]


def test_a_speedup_of_one_data_type_of_activations_or_one_rate_comes_before_the_general_one():
    speedup = {"provenance": "measured", "source": "a test"}
    content = load_profile("assumed").model_dump(mode="json")
    content["settings"] = {
        "weights.int8": {"compute": speedup | {"value": 2.0}},
        "weights.int8-bf16": {"compute": speedup | {"value": 0.5, "stderr": 0.1}},
        "pruning.structured:0.5": {"compute": speedup | {"value": 0.9}},
        "pruning.structured": {"compute": speedup | {"value": 0.8}},
    }
    profile = Profile.model_validate(content)

    def factors(**settings):
        found = Settings.model_validate(settings).speedup("compute", profile, "weights", "pruning")
        return [number.value for number in found]

    half, quarter = ({"pattern": "structured", "rate": rate} for rate in (0.5, 0.25))
    assert factors(weights="int8") == [2.0]
    assert factors(weights="int8", activations="bf16") == [0.5]
    assert factors(pruning=half) == [0.9]
    assert factors(weights="int8", pruning=quarter) == [2.0, 0.8]
