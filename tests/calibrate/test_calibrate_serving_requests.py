"""Measured requests of real engines, replayed: predictions, and coefficients fitted end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import planner

import calibrate
from calibrate.importers.rows import RequestRows
from calibrate.serving.requests import repeats, runs_of
from planner.catalog.profile import load_profile
from planner.errors import InputError
from planner.scenario.reader import load_scenario

DATA = Path(calibrate.__file__).parent / "data"
CPU = DATA / "vllm_cpu"
FITTED_ON = ("--run", "chat_30_r1", "--run", "long_60_r1")


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """Return a profile fitted end to end to two of the eight runs."""
    folder = tmp_path_factory.mktemp("fit")
    ran = planner(
        "calibrate", "fit", CPU / "requests.csv.gz", "--scenario", CPU / "engine.yaml",
        *FITTED_ON, "--hold", "overlap=1", "--out", folder,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return folder / "profile.json"


def compared(*args):
    ran = planner("validate", *args, "--json")
    return ran.code, json.loads(ran.out)["comparisons"]


def test_two_runs_of_a_real_vllm_tell_how_the_others_come_out(profile):
    code, found = compared(
        CPU / "requests.csv.gz", "--scenario", CPU / "engine.yaml",
        "--set", f"service.profile={profile}", "--tolerance", "10%",
    )  # fmt: skip
    assert code == 0
    assert [each["label"] for each in found] == [
        "chat_30_r1", "chat_60_r1 x3", "long_30_r1", "long_60_r1 x3",
    ]  # fmt: skip
    for each in found:
        assert len(each["rows"]) == 6


def test_fitted_coefficients_carry_their_errors_and_where_they_are_from(profile):
    found = load_profile(str(profile))
    assert found.measured_device().name == "Xeon core"
    assert found.about == ()  # not what the profile that the fit began with says of itself
    for name in ("compute_efficiency", "overhead_fixed", "overhead_per_sequence"):
        each = found.coefficients[name]
        assert each.provenance == "fitted"
        assert 0 < each.stderr < each.value
        assert "chat_30_r1, long_60_r1" in each.source
    held = found.coefficients["overlap"]
    assert (held.value, held.provenance) == (1, "given")
    assert held.source.startswith("held at it")


def test_steps_that_take_longer_miss_and_exit_5(profile, tmp_path):
    slow = json.loads(profile.read_text())
    slow["coefficients"]["overhead_fixed"]["value"] *= 3
    (tmp_path / "slow.json").write_text(json.dumps(slow))
    code, _ = compared(
        CPU / "requests.csv.gz", "--scenario", CPU / "engine.yaml", "--run", "chat_60_r1",
        "--set", f"service.profile={tmp_path / 'slow.json'}", "--tolerance", "10%",
    )  # fmt: skip
    assert code == 5


@pytest.mark.parametrize("device", ["rtx4090", "rtxpro6000"])
def test_vllm_on_gpus_is_predicted_from_its_log(device):
    folder = DATA / "vllm_gpu"
    code, found = compared(
        folder / f"{device}.csv", "--scenario", folder / f"{device}.yaml", "--tolerance", "15%"
    )
    assert code == 0
    assert len(found[0]["rows"]) == 6


def rows(arrival, *, prompt=10, run=None, names=("a",)):
    n = len(arrival)
    return RequestRows(
        np.array(arrival, float), np.full(n, 0.1), np.full(n, 0.5), np.full(n, prompt),
        np.full(n, 5), np.ones(n, bool), np.zeros(n, int) if run is None else np.array(run), names,
    )  # fmt: skip


def test_runs_of_the_same_requests_at_the_same_rate_are_repeats():
    engine = load_scenario(CPU / "engine.yaml")
    times = [0.0, 1.0, 2.0]
    found = rows(
        [*times, *times, 0.0, 2.0, 4.0], run=[0] * 3 + [1] * 3 + [2] * 3, names=("a", "b", "slow")
    )
    groups = repeats(runs_of(engine, found))
    assert [[run.name for run in group] for group in groups] == [["a", "b"], ["slow"]]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (rows([np.nan, 1.0, 2.0]), "must give arrival of every request to be replayed, got 1 of 3"),
        (rows([0.0, 1.0], prompt=0), "must give prompt_tokens of every request"),
        (rows([0.0, 0.0]), "must hold requests that arrived one after the other"),
    ],
)
def test_requests_that_cannot_be_replayed_are_refused(found, said):
    with pytest.raises(InputError, match=said):
        runs_of(load_scenario(CPU / "engine.yaml"), found)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--scenario", CPU / "engine.yaml", "--run", "none"], "--run must be one of chat_30_r1"),
        (
            ["--scenario", CPU / "engine.yaml", "--set", "fleet.replicas=2"],
            "must be 1 for a replay",
        ),
        (["--scenario", CPU / "engine.yaml", "--hold", "overlap"], "--hold must be NAME=NUMBER"),
        (["--scenario", CPU / "engine.yaml", "--hold", "speed=1"], "--hold must name one of"),
        ([], "--device and --engine"),
        (["--hold", "overlap=1"], "--hold: must be left out here"),
    ],
)
def test_a_fit_that_cannot_be_made_says_why(args, said, tmp_path):
    ran = planner("calibrate", "fit", CPU / "requests.csv.gz", *args, "--out", tmp_path)
    assert (ran.code, ran.clean) == (2, True)
    assert said in ran.err
