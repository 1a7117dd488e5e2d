"""How right plans are, against brute force and against independent long runs, and how fast.

``python bench/planning.py brute`` for five spaces of 200 candidates or more,
``python bench/planning.py calibrated [N]`` for N random scenarios, by default 100;
``python bench/planning.py timed`` for spaces of 540 and of 5,120 candidates.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from planner.catalog.profile import load_profile
from planner.errors import InputError
from planner.planning import plan as planning
from planner.planning.constraints import constraints_of
from planner.planning.evaluation import Evaluator, Variation
from planner.planning.found import combined
from planner.planning.sizing import least_steady
from planner.planning.space import candidates
from planner.planning.uncertainty import draws
from planner.planning.workload import Workload
from planner.scenario.reader import read_scenario
from planner.simulation.price import replica_price

if TYPE_CHECKING:
    from planner.planning.candidate import Candidate
    from planner.scenario.model import Scenario

TEXT = """
name: bench
traffic:
  duration: {duration} s
  arrivals: {arrivals}
  lengths:
    kind: lognormal
    prompt: {{mean: {prompt}, cv: {prompt_cv}, min: 10, max: 8000}}
    output: {{mean: {output}, cv: 0.8, min: 2, max: 1500}}
service: {{kind: llm, model: {model}, profile: {profile}, engine: {{max_model_len: 16384}}}}
fleet: {{device: H100-SXM-80GB, price: low}}
objectives: "{objectives}"
simulation: {{seed: {seed}, replications: 5, warmup: 40 s}}
plan: {plan}
"""
ALL = (
    "{devices: [L4, L40S, A100-SXM-80GB, H100-SXM-80GB, H200-SXM-141GB], "
    "tensor_parallel: [1, 2], weights: [bf16, fp8, int8, int4], kv_cache: [bf16, fp8], "
    "max_num_batched_tokens: [1024, 2048, 8192]}"
)
FEW = (
    "{devices: [L4, L40S, A100-SXM-80GB, H100-SXM-80GB], tensor_parallel: [1], "
    "weights: [bf16, fp8], kv_cache: [bf16], max_num_batched_tokens: [2048]}"
)
FIVE = "[L4, L40S, A100-SXM-80GB, H100-SXM-80GB, H200-SXM-141GB]"
LARGE = [
    (
        f"{{devices: {FIVE}, tensor_parallel: [1, 2, 4], weights: [bf16, fp8, int8], "
        "kv_cache: [bf16, fp8], max_num_seqs: [128, 256], "
        "max_num_batched_tokens: [1024, 2048, 8192]}"
    ),
    (
        f"{{devices: {FIVE}, tensor_parallel: [1, 2, 4, 8], weights: [bf16, fp8, int8, int4], "
        "kv_cache: [bf16, fp8], max_num_seqs: [64, 128, 256, 512], "
        "max_num_batched_tokens: [1024, 2048, 4096, 8192], "
        "scheduler: [{kind: chunked}, {kind: prefill_first}]}"
    ),
]
POISSON = "{{kind: poisson, rate: {} req/s}}"
BURSTY = "{{kind: gamma, rate: {} req/s, cv: 2}}"
SPACES = [
    ("llama-3.1-8b", POISSON.format(15), 800, 150, "ttft:p95<300ms; tpot:p95<40ms"),
    ("llama-3.1-8b", BURSTY.format(10), 1500, 100, "ttft:p90<500ms; e2e:p99<20s"),
    ("qwen2.5-3b", POISSON.format(30), 500, 200, "tpot:p95<25ms; wait:p95<100ms"),
    ("llama-3.1-8b", POISSON.format(6), 2500, 300, "goodput{ttft<1s,tpot<40ms}>=0.9"),
    ("gemma-3-27b", POISSON.format(4), 1000, 200, "ttft:p95<800ms; tpot:mean<50ms"),
]
#: Ten times the replications of a plan.
REPLICATIONS = 50


def scenario(
    model: str, arrivals: str, prompt: int, output: int, objectives: str, **more: object
) -> Scenario:
    """Return a scenario with a search space."""
    values = {
        "duration": 300, "prompt_cv": 1, "seed": 1, "plan": ALL, "profile": "assumed", **more
    }  # fmt: skip
    return read_scenario(
        TEXT.format(
            model=model, arrivals=arrivals, prompt=prompt, output=output, objectives=objectives,
            **values,
        )
    )  # fmt: skip


def cheapest(one: Scenario) -> tuple[float, Candidate | None, int, int]:
    """Return cost, candidate and replicas of the cheapest fleet, by trying all in turn."""
    workload = Workload(one, planning.objectives_of(one))
    evaluator = Evaluator(workload, load_profile("assumed"))
    constraints = constraints_of(one, one.plan)
    pairs = []
    for candidate in candidates(one, one.plan, evaluator.profile):
        try:
            system = evaluator.system(candidate)
        except InputError:
            continue
        price = replica_price(system.fleet, system.device).usd_per_hour
        low = least_steady(evaluator, candidate)
        pairs += [(price * n, candidate.key, n, candidate) for n in range(low, low + 40)]
    pairs.sort(key=lambda pair: pair[:3])
    level = workload.levels[2]
    for k, (cost, _, n, candidate) in enumerate(pairs):
        found = []
        for replication in range(REPLICATIONS):
            found.append(evaluator.replicate(candidate, n, level, replication))
            done = combined(found)
            if len(found) == 10 and not done.holds and done.chance < 1e-3:
                break
        evaluator.known.clear()
        if len(found) == REPLICATIONS and done.probability() >= constraints.confidence:
            return cost, candidate, n, k + 1
    return math.inf, None, 0, len(pairs)


def brute() -> None:
    """Print plans beside the cheapest fleets that trying all finds."""
    for space in SPACES:
        one = scenario(*space)
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            plan = planning.plan(one, store=Path(folder) / "e.jsonl", jobs=1)
            took = time.process_time() - began
        began = time.process_time()
        cost, candidate, n, tried = cheapest(one)
        spent = time.process_time() - began
        option = plan.recommendation.option if plan.recommendation else None
        found = option.usd_per_hour if option else math.inf
        same = "same cost" if math.isclose(found, cost) else "DIFFERENT"
        print(
            f"{plan.counts.total} candidates, {plan.counts.simulated} simulated: plan "
            f"${found:.2f}/h {option and (option.replicas, option.candidate.device_name)} "
            f"P {option and option.probability:.4f} in {took:.1f} CPU-s; "
            f"brute force ${cost:.2f}/h {n} {candidate and candidate.device_name}, "
            f"{tried} fleets in {spent:.0f} CPU-s: {same}",
            flush=True,
        )


def timed() -> None:
    """Print how long plans take for an hour of chat at 50 req/s, in one process."""
    easy = ("llama-3.1-8b", "ttft:p95<300ms; tpot:p95<40ms")
    hard = ("gemma-3-27b", "ttft:p95<800ms; tpot:p95<50ms")
    for (model, objectives), space in product((easy, hard), LARGE):
        one = scenario(
            model, POISSON.format(50), 800, 150, objectives, duration=3600, plan=space
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time(), time.monotonic()
            plan = planning.plan(one, store=Path(folder) / "e.jsonl", jobs=1)
            spent, took = time.process_time() - began[0], time.monotonic() - began[1]
        option = plan.recommendation.option if plan.recommendation else None
        print(
            f"{plan.counts.total:,} candidates, {plan.method['requests']:,} requests, "
            f"{plan.counts.simulated} simulated: {spent:.0f} CPU-s, {took:.0f} s; "
            f"{option and (option.replicas, option.candidate.device_name, option.usd_per_hour)}",
            flush=True,
        )


def uncertain(folder: str, rng: np.random.Generator) -> Path:
    """Write a profile whose coefficients have errors of 2 to 8 %, and return its path."""
    content = load_profile("assumed").model_dump(mode="json")
    for coefficient in content["coefficients"].values():
        coefficient["stderr"] = coefficient["value"] * float(rng.uniform(0.02, 0.08))
    content["devices"] = {}
    path = Path(folder) / "profile.json"
    path.write_text(json.dumps(content))
    return path


def calibrated(count: int) -> None:
    """Print how many of `count` plans meet their objectives in long runs of other traffic."""
    met = total = 0
    stated = []
    for k in range(count):
        rng = np.random.default_rng([7, k])
        with tempfile.TemporaryDirectory() as folder:
            unsure = k % 2 == 1
            profile = str(uncertain(folder, rng)) if unsure else "assumed"
            arrivals = (POISSON, BURSTY)[int(rng.integers(2))].format(round(rng.uniform(3, 25), 2))
            objectives = (
                f"ttft:p{int(rng.choice([90, 95, 99]))}<{int(rng.uniform(150, 900))}ms; "
                f"tpot:p95<{int(rng.uniform(20, 70))}ms"
            )
            prompt, output = int(rng.uniform(200, 2500)), int(rng.uniform(50, 300))
            one = scenario(
                "llama-3.1-8b", arrivals, prompt, output, objectives,
                seed=k + 1, plan=FEW, profile=profile,
            )  # fmt: skip
            plan = planning.plan(one, store=Path(folder) / "e.jsonl", jobs=1)
            if plan.recommendation is None:
                continue
            option = plan.recommendation.option
            long = one.model_copy(
                update={
                    "traffic": one.traffic.model_copy(update={"duration": 6000.0}),
                    "simulation": one.simulation.model_copy(update={"seed": 10_000 + k}),
                }
            )
            workload = Workload(long, planning.objectives_of(long))
            evaluator = Evaluator(workload, load_profile(profile))
            truth = Variation()
            if unsure:
                device = evaluator.system(option.candidate).device
                truth = Variation(coefficients=draws(evaluator.profile, device, 999 + k, 2)[0])
            level = workload.levels[2]._replace(replications=1)
            found = evaluator.evaluate(option.candidate, option.replicas, level, truth)
            total += 1
            met += found.holds
            stated.append(option.probability)
            if total % 10 == 0:
                print(f"  {met} of {total}", flush=True)
            if not found.holds:
                ratios = [(round(t.ratio, 4), round(t.allowed, 4)) for t in found.tallies]
                print(f"  {k}: missed, P {option.probability:.3f}, {ratios}, unsure {unsure}")
    print(f"{met} of {total} plans met all objectives; stated on average {np.mean(stated):.3f}")


if __name__ == "__main__":
    what = sys.argv[1] if len(sys.argv) > 1 else "brute"
    if what == "brute":
        brute()
    elif what == "timed":
        timed()
    else:
        calibrated(int(sys.argv[2]) if len(sys.argv) > 2 else 100)
