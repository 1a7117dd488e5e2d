"""What the host does to a request outside the engine's steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planner.results.records import PARTS
from planner.scenario.reader import read_scenario
from planner.simulation.run import run_llm
from planner.simulation.system import build_system

OPEN = """
name: x
traffic:
  requests: 50
  arrivals: {kind: poisson, rate: 20 req/s}
  lengths: {kind: fixed, prompt: 100, output: 9}
service: {kind: llm, model: qwen2.5-3b}
fleet: {device: L4}
simulation: {warmup: 0 s}
"""
CLOSED = OPEN.replace("kind: poisson, rate: 20 req/s", "kind: closed_loop, clients: 1")


def records(text, overhead_s):
    scenario = read_scenario(text)
    system = build_system(scenario)
    system = replace(system, step=replace(system.step, request_overhead=overhead_s))
    requests = scenario.traffic.draw(1, 0, scenario.base_dir)
    return run_llm(scenario, system, requests, replication=0)


def test_it_adds_to_each_ttft_and_e2e_and_is_overhead():
    without, some = records(OPEN, 0.0), records(OPEN, 0.25)
    np.testing.assert_allclose(some.first_token_s, without.first_token_s + 0.25, atol=1e-12)
    np.testing.assert_allclose(some.finished_s, without.finished_s + 0.25, atol=1e-12)
    for more, less in (
        (some.parts_first, without.parts_first),
        (some.parts_end, without.parts_end),
    ):
        expected = less + 0.25 * (np.array(PARTS) == "overhead")
        np.testing.assert_allclose(more, expected, atol=1e-9)


def test_a_client_waits_for_it_before_it_thinks():
    without, some = records(CLOSED, 0.0), records(CLOSED, 0.25)
    assert np.diff(some.arrival_s) == pytest.approx(np.diff(without.arrival_s) + 0.25)
