"""Headroom: at so much more traffic the objectives hold, at one per cent more they do not."""

import numpy as np
import pytest

from planner.evaluate import simulate
from planner.planning.plan import objectives_of
from planner.planning.workload import Workload
from planner.scenario.reader import read_scenario

#: One slot, and prompts that are read in one step: a queue with one server and a constant service.
TEXT = """\
name: one slot
traffic:
  duration: 300 s
  arrivals: {kind: poisson, rate: 8 req/s}
  lengths: {kind: fixed, prompt: 1000, output: 1}
service:
  kind: llm
  model: llama-3.1-8b
  engine: {max_num_seqs: 1}
fleet: {device: L40S}
objectives: "ttft:p95<600ms"
simulation: {seed: 3, replications: 5, warmup: 20 s}
plan:
  devices: [L40S]
  tensor_parallel: [1]
  weights: [bf16]
  kv_cache: [bf16]
  max_num_batched_tokens: [2048]
  confidence: 0.9
"""


def service_s():
    """Return the time that a request takes when it is alone."""
    lone = ["traffic.arrivals.rate=0.01 req/s", "traffic.duration=2000 s"]
    found = simulate(read_scenario(TEXT, overrides=lone)).result
    return found.whole.metrics.latency["ttft"]["p50"].value


def latencies(arrivals, service):
    """Return waits plus service by Lindley's recursion, in the order of arrival."""
    waits = [0.0]
    for gap in np.diff(arrivals):
        waits.append(max(0.0, waits[-1] + service - gap))
    return np.array(waits) + service


HELD = {
    "ttft:p95<600ms": lambda x: np.mean(x >= 0.6) <= 0.05,
    "ttft:p90<=400ms": lambda x: np.mean(x > 0.4) <= 0.1,
    "ttft:mean<250ms": lambda x: np.mean(x) < 0.25,
    "goodput{ttft<900ms}>=0.98": lambda x: np.mean(x < 0.9) >= 0.98,
}


@pytest.mark.parametrize("objective", HELD)
def test_headroom_is_that_of_lindleys_recursion_to_one_per_cent(planned, objective):
    plan = planned(f"objectives={objective}", text=TEXT)
    assert plan.recommendation.option.replicas == 1
    scenario = read_scenario(TEXT, overrides=[f"objectives={objective}"])
    workload = Workload(scenario, objectives_of(scenario))
    assert workload.levels[1].window is None  # so that headroom is that of all the traffic
    requests, service = workload.draw(0), service_s()

    def holds(growth):
        arrivals = requests.arrival_s / (1 + growth)
        inside = (arrivals >= 20) & (arrivals <= requests.end_s / (1 + growth))
        return HELD[objective](latencies(arrivals, service)[inside])

    headroom = plan.recommendation.headroom
    assert headroom > 0.1
    assert holds(headroom)
    assert not holds(headroom + 0.01)


def test_more_replicas_than_are_needed_leave_more_room(planned):
    tight, roomy = (planned("plan.spares=0", f"plan.confidence={c}") for c in (0.5, 0.9999))
    more = roomy.recommendation.option.replicas >= tight.recommendation.option.replicas
    assert more
    assert roomy.recommendation.headroom >= tight.recommendation.headroom


def test_no_headroom_is_stated_where_clients_set_the_rate(planned):
    text = TEXT.replace("  duration: 300 s\n", "  requests: 800\n").replace(
        "{kind: poisson, rate: 8 req/s}",
        "{kind: closed_loop, clients: 3, think: {kind: exponential, mean: 1 s}}",
    )
    assert planned(text=text).recommendation.headroom is None
