"""How right plans are, against brute force and against independent long runs, and how fast.

``python bench/planning.py brute`` for five spaces of 200 candidates or more,
``python bench/planning.py fresh SEED [N]`` for N others, by default 5, drawn from a seed, and
``python bench/planning.py close SEED [N]`` for N with bounds that some fleet just meets or misses;
``python bench/planning.py calibrated [N [SEED]]`` for N random scenarios, by default 100;
``python bench/planning.py timed`` for spaces of 540 and of 5,120 candidates.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from spaces import BURSTY, FEW, LARGE, POISSON, SPACES, drawn, scenario

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
from planner.simulation.price import replica_price

if TYPE_CHECKING:
    from spaces import Space

    from planner.planning.candidate import Candidate
    from planner.planning.found import Found
    from planner.scenario.model import Scenario

#: Ten times the replications of a plan.
REPLICATIONS = 50
#: Other replications, that neither a plan nor brute force has seen: they judge between the two.
UNSEEN = range(1000, 1200)
#: Chance below which a fleet is given up after so many replications.
HOPELESS = {3: 1e-5, 10: 1e-3}
#: Most fleets that brute force tries.
MOST_FLEETS = 1000


class Brute(NamedTuple):
    """The cheapest fleet that trying all finds.

    Parameters
    ----------
    cost : float
        Infinite where none was found. [$/h]
    candidate : Candidate or None
        Its replica.
    replicas, tried : int
        How many it has, and how many fleets were tried.
    """

    cost: float
    candidate: Candidate | None
    replicas: int
    tried: int


def cheapest(one: Scenario) -> Brute:
    """Return the cheapest fleet, by trying all in the order of their cost."""
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
    for k, (cost, _, n, candidate) in enumerate(pairs[:MOST_FLEETS]):
        done = outcome(evaluator, candidate, n, range(REPLICATIONS))
        if done and done.probability() >= constraints.confidence:
            return Brute(cost, candidate, n, k + 1)
    return Brute(math.inf, None, 0, min(len(pairs), MOST_FLEETS))


def outcome(
    evaluator: Evaluator, candidate: Candidate, replicas: int, which: range
) -> Found | None:
    """Return what a fleet does in some replications; None once the first show no hope."""
    level = evaluator.workload.levels[2]
    found = []
    for replication in which:
        found.append(evaluator.replicate(candidate, replicas, level, replication))
        done = combined(found)
        if len(found) in {3, 10} and not done.holds and done.chance < HOPELESS[len(found)]:
            return None
    evaluator.known.clear()
    return combined(found)


def compare(one: Scenario) -> bool:
    """Print the plan beside the cheapest fleet that trying all finds; return whether it is that."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        plan = planning.plan(one, store=Path(folder) / "e.jsonl", jobs=1)
        took = time.process_time() - began
    began = time.process_time()
    brute = cheapest(one)
    spent = time.process_time() - began
    option = plan.recommendation.option if plan.recommendation else None
    found = option.usd_per_hour if option else math.inf
    same = math.isclose(found, brute.cost)
    device = brute.candidate and brute.candidate.device_name
    print(
        f"{plan.counts.total} candidates, {plan.counts.simulated} simulated: plan "
        f"${found:.2f}/h {option and (option.replicas, option.candidate.device_name)} "
        f"P {option and option.probability:.4f} in {took:.1f} CPU-s; "
        f"brute force ${brute.cost:.2f}/h {brute.replicas} {device}, "
        f"{brute.tried} fleets in {spent:.0f} CPU-s: {'same cost' if same else 'DIFFERENT'}",
        flush=True,
    )
    if not same:
        workload = Workload(one, planning.objectives_of(one))
        evaluator = Evaluator(workload, load_profile("assumed"))
        fleets = [("plan", option.candidate, option.replicas)] if option else []
        fleets += [("brute force", brute.candidate, brute.replicas)] if brute.candidate else []
        for name, candidate, replicas in fleets:
            for which in (range(REPLICATIONS), UNSEEN):
                _judge(name, evaluator, candidate, replicas, which)
    return same


def _judge(
    name: str, evaluator: Evaluator, candidate: Candidate, replicas: int, which: range
) -> None:
    """Print what a fleet does in some replications."""
    done = outcome(evaluator, candidate, replicas, which)
    shares = done and [f"{each.ratio:.5f} of {each.allowed:.5f}" for each in done.tallies]
    print(
        f"    {name}: {replicas} {candidate.key}, replications {which.start} to {which.stop - 1}: "
        f"{shares or 'no hope'}, P {done and round(done.probability(), 4)}",
        flush=True,
    )


def edge(space: Space, rng: np.random.Generator) -> Space:
    """Return `space` with bounds that some fleet in it just meets or just misses.

    So that the decision is close, and somewhere amid the fleets rather than at the cheapest.
    """
    one = space.scenario()
    evaluator = Evaluator(Workload(one, planning.objectives_of(one)), load_profile("assumed"))
    level = evaluator.workload.levels[2]
    while True:
        candidate = rng.choice(candidates(one, one.plan, evaluator.profile))
        with contextlib.suppress(InputError):
            n = least_steady(evaluator, candidate) + int(rng.integers(3))
            ttft, tpot = evaluator.evaluate(candidate, n, level).values
            if ttft and tpot:
                bounds = [1000 * x * rng.uniform(0.95, 1.15) for x in (ttft, tpot)]
                target = "ttft:p95<{:.0f}ms; tpot:p95<{:.1f}ms".format(*bounds)
                return space._replace(objectives=target)


def fresh(seed: int, count: int, *, close: bool) -> None:
    """Compare plans with brute force on spaces that nobody has seen: drawn from `seed`."""
    same = 0
    for k in range(count):
        space = drawn(seed, k)
        if close:
            target = "ttft:p95<1s; tpot:p95<1s"
            rng = np.random.default_rng([seed, k, 1])
            space = edge(space._replace(objectives=target), rng)
        print(f"{k}: {' '.join(map(str, space))}")
        same += compare(space.scenario())
    print(f"{same} of {count} the same")


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


def calibrated(count: int, seed: int) -> None:
    """Print how many of `count` plans meet their objectives in long runs of other traffic."""
    met = total = 0
    stated = []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
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
        for each in SPACES:
            compare(scenario(*each))
    elif what in {"fresh", "close"}:
        count = int(sys.argv[3]) if len(sys.argv) > 3 else 5
        fresh(int(sys.argv[2]), count, close=what == "close")
    elif what == "timed":
        timed()
    else:
        calibrated(*(int(each) for each in (*sys.argv[2:4], *("100", "7")[len(sys.argv) - 2 :])))
