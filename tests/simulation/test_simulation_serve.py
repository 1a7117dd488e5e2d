"""One replica without the fleet around it gives the times of the whole simulation."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import CLOSED, LLM

from planner.evaluate import replicate
from planner.scenario.reader import load_scenario
from planner.simulation.serve import serve
from planner.simulation.system import build_system


@pytest.mark.parametrize("text", [CLOSED, LLM])
def test_times_are_those_of_the_whole_simulation(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    scenario = load_scenario(path, ["fleet.replicas=1", "service.network=3 ms"])
    system = build_system(scenario)
    requests, records = replicate(scenario, system, 0)
    served = serve(system, requests)
    np.testing.assert_array_equal(served.arrival_s, records.arrival_s)
    np.testing.assert_array_equal(served.first_token_s, records.first_token_s)
    np.testing.assert_array_equal(served.finished_s, records.finished_s)
    gaps = records.output_tokens - 1
    expected = (records.finished_s - records.first_token_s) / gaps
    np.testing.assert_allclose(served.tpot_s, expected, rtol=1e-12)


def test_the_hosts_time_is_in_every_latency_as_overhead(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(LLM)
    profile = build_system(load_scenario(path)).profile
    coefficient = profile.coefficients["overhead_fixed"].model_copy(update={"value": 0.02})
    slower = profile.model_copy(
        update={"coefficients": {**profile.coefficients, "request_overhead": coefficient}}
    )
    (tmp_path / "slower.json").write_text(slower.model_dump_json())
    base = load_scenario(path)
    other = load_scenario(path, ["service.profile=slower.json"])
    before = replicate(base, build_system(base), 0).records
    after = replicate(other, build_system(other), 0).records
    np.testing.assert_allclose(after.first_token_s, before.first_token_s + 0.02)
    np.testing.assert_allclose(after.finished_s, before.finished_s + 0.02)
    np.testing.assert_allclose(after.parts_first[:, 4], before.parts_first[:, 4] + 0.02)
    np.testing.assert_allclose(
        after.parts_end.sum(axis=1), after.finished_s - after.arrival_s, atol=1e-9
    )
