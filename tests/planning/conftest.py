"""Scenarios small enough to plan for in a second, and a cache of their own."""

import pytest

from planner.planning.plan import plan
from planner.scenario.reader import Given, read_scenario

SMALL = """\
name: small
traffic:
  duration: 200 s
  arrivals: {kind: poisson, rate: 12 req/s}
  lengths:
    kind: lognormal
    prompt: {mean: 800, cv: 1, min: 10, max: 6000}
    output: {mean: 100, cv: 0.8, min: 2, max: 800}
service: {kind: llm, model: llama-3.1-8b}
fleet: {device: L40S, replicas: 6}
objectives: "ttft:p95<400ms; tpot:p95<45ms"
simulation: {seed: 1, replications: 5, warmup: 20 s}
plan:
  devices: [L40S, L4]
  tensor_parallel: [1]
  weights: [bf16, fp8]
  kv_cache: [bf16]
  max_num_batched_tokens: [2048]
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def shared_store(tmp_path_factory):
    """Return a file of evaluations that all tests of a session add to and read."""
    return tmp_path_factory.mktemp("plans") / "evaluations.jsonl"


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


@pytest.fixture
def planned(shared_store):
    """Return a function that plans for a changed small scenario."""

    def run(*overrides, text=SMALL, options=(), jobs=1, **more):
        given = [Given(tuple(key.split(".")), value, key) for key, value in options]
        scenario = read_scenario(text, "x.yaml", overrides=overrides, options=given)
        more = {"store": shared_store, **more}
        return plan(scenario, jobs=jobs, **more)

    return run
