"""Profiles: coefficients with provenance, refused when they do not fit."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalogue import device_names, find_device
from planner.catalog.coefficients import COEFFICIENTS, FALLBACK, OPTIONAL
from planner.catalog.profile import PACKAGED, Profile, load_profile
from planner.errors import InputError

H100 = find_device("H100-SXM-80GB")
CONTENT = {
    "schema_version": 1,
    "name": "mine",
    "device": "H100-SXM-80GB",
    "engine": "vllm",
    "engine_version": "0.32.0",
    "created": "2026-11-01",
    "coefficients": {
        "storage_efficiency": {
            "value": 0.83,
            "stderr": 0.01,
            "provenance": "fitted",
            "source": "calibrate, 2026-11-01",
        }
    },
}


CONTENT_OF = {"provenance": "fitted", "source": "x"}


def covariance(names, matrix):
    return {"covariance": {"names": names, "matrix": matrix}}


def write(folder, **changes):
    path = folder / "profile.json"
    path.write_text(json.dumps(CONTENT | changes))
    return path


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_profile_has_every_coefficient_on_its_devices(name):
    profile = load_profile(name)
    assert profile.name == name
    for device in map(find_device, device_names()):
        if profile.device not in {"any", device.name}:
            continue
        profile.check(device)
        for coefficient in COEFFICIENTS.keys() - OPTIONAL - FALLBACK.keys():
            number = profile.coefficient(coefficient, device)
            assert number.provenance in {"assumed", "measured", "fitted", "computed"}
            assert len(number.source) > 20


@pytest.mark.parametrize("name", sorted(set(PACKAGED) - {"assumed"}))
def test_a_fitted_profile_says_how_its_coefficients_vary_together(name):
    profile = load_profile(name)
    errors = {
        key: each.stderr
        for key, each in profile.coefficients.items()
        if each.provenance in {"fitted", "measured"} and each.stderr is not None
    }
    assert set(profile.covariance.names) <= errors.keys()
    for k, key in enumerate(profile.covariance.names):
        assert profile.covariance.matrix[k][k] == pytest.approx(errors[key] ** 2, rel=1e-6)


def test_assumed_values_name_only_devices_of_the_catalogue():
    assert set(load_profile("assumed").devices) <= set(device_names())


def test_a_profile_file_is_read_with_its_standard_errors(tmp_path):
    profile = load_profile(write(tmp_path))
    assert profile.coefficients["storage_efficiency"].stderr == 0.01
    assert profile.coefficient("storage_efficiency", H100)[1:4] == (0.83, "-", "fitted")
    assert profile.age(dt.date(2026, 11, 25)).days == 24


def test_a_missing_coefficient_is_an_error_that_says_what_would_supply_it(tmp_path):
    profile = load_profile(write(tmp_path))
    with pytest.raises(InputError, match=r"'mine' must have overlap .*got none; measure it with"):
        profile.coefficient("overlap", H100)


def test_a_profile_of_another_device_is_refused(tmp_path):
    profile = load_profile(write(tmp_path))
    profile.check(H100)
    with pytest.raises(InputError, match="must be one of device 'L4', got one of 'H100-SXM-80GB'"):
        profile.check(find_device("L4"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "schema_version: must be 1, got 2; make the profile anew"),
        ({"schema_version": True}, "schema_version: must be 1, got True"),
        ({"created": "yesterday"}, "created: must be valid, got 'yesterday'"),
        ({"colour": 1}, "colour: must be valid"),
        ({"devices": {"L4": {}}}, "must have no 'devices' where 'device' is not 'any'"),
        (
            {"coefficients": {"overlop": {"value": 2, "provenance": "fitted", "source": "x"}}},
            "got 'overlop'; did you mean 'overlap'",
        ),
        (
            {"coefficients": {"overlap": {"value": 0.5, "provenance": "fitted", "source": "x"}}},
            "must have overlap >= 1, got 0.5",
        ),
        ({"covariance": {"names": ["a", "b"], "matrix": [[1, 2], [3, 1]]}}, "symmetric"),
        ({"covariance": {"names": ["a"], "matrix": [[1, 2]]}}, "of 1 rows"),
        (
            {"coefficients": {"kv_efficiency": CONTENT_OF | {"value": 55}}},
            "must have kv_efficiency, a share, <= 4, got 55",
        ),
        (
            {"coefficients": {"overlap": CONTENT_OF | {"value": 10**400}}},
            "coefficients.overlap.value",
        ),
        (
            {"coefficients": {"overlap": CONTENT_OF | {"value": True}}},
            "coefficients.overlap.value: must be",
        ),
        (
            {"settings": {"launch.eager": {"overhead": CONTENT_OF | {"value": True}}}},
            r"launch.eager.overhead.value: must be",
        ),
        (covariance(["overlap", "overlap"], [[1, 0], [0, 1]]), "once, got 'overlap' twice"),
        (covariance(["overlop"], [[1]]), "got 'overlop'; did you mean 'overlap'"),
        (covariance(["overlap"], [[-1]]), "positive semidefinite"),
        (covariance(["overlap", "reread"], [[1, 2e-3], [2e-3, 1e-6]]), "positive semidefinite"),
        ({"settings": {"weights.int4": {"colour": {}}}}, "settings.weights.int4.colour"),
    ],
)
def test_a_profile_that_is_not_valid_is_refused_with_file_and_key(changes, message, tmp_path):
    path = write(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as error:
        load_profile(path)
    assert str(path) in str(error.value)


def test_a_covariance_that_is_singular_is_one(tmp_path):
    matrix = [[1.0, 1e-3], [1e-3, 1e-6]]
    profile = load_profile(write(tmp_path, **covariance(["overlap", "reread"], matrix)))
    assert profile.covariance.matrix[0][1] == 1e-3
    assert load_profile(write(tmp_path, **covariance([], []))).covariance.names == ()


@pytest.mark.parametrize("name", ["asumed", "", "x" * 5000, "no/such/profile.json"])
def test_a_name_that_is_no_profile_is_refused(name):
    with pytest.raises(InputError, match="must be a profile"):
        load_profile(name)


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(max_size=5) | st.sampled_from(sorted(COEFFICIENTS)), inner, max_size=3
            )
        ),
    ),
    key=st.sampled_from(sorted(Profile.model_fields)),
)
def test_any_value_of_any_key_gives_a_profile_or_an_input_error(tmp_path_factory, key, value):
    path = write(tmp_path_factory.mktemp("profile"), **{key: value})
    try:
        profile = load_profile(path)
    except InputError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(profile, Profile)


def test_the_packaged_file_says_why_for_every_number():
    root = Path(__file__).parents[2] / "planner" / "catalog" / "profiles"
    for path in root.glob("*.json"):
        assert path.stem in PACKAGED
        assert all(
            entry["source"] for entry in json.loads(path.read_text())["coefficients"].values()
        )
