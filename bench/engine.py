"""Speed of the engine alone, by load: ``python bench/engine.py``.

Runs bench/million.yaml at several rates and counts the CPU seconds of one replication, from
requests to records: no drawing of traffic, no statistics, no compilation. A step at low load has
few sequences and costs little; at high load most of the cost is that of requests.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from entrants import cpu_seconds

from planner.scenario.reader import load_scenario
from planner.simulation.run import run_llm
from planner.simulation.system import build_system

FILE = Path(__file__).resolve().with_name("million.yaml")
RATES = (1.0, 10.0, 20.0, 40.0, 100.0, 154.0, 200.0)


def main() -> None:
    """Print a row per rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("rates", nargs="*", type=float, default=RATES, help="requests per second")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3, help="runs per rate; the median counts")
    options = parser.parse_args()
    print("| requests/s | steps per request | requests per CPU-second | steps per CPU-second |")
    print("|---|---|---|---|")
    for rate in options.rates:
        overrides = [f"traffic.requests={options.requests}", f"traffic.arrivals.rate={rate} req/s"]
        scenario = load_scenario(FILE, overrides)
        system = build_system(scenario)
        requests = scenario.traffic.draw(scenario.simulation.seed, 0, scenario.base_dir)
        steps = run_llm(scenario, system, requests, replication=0).usage["steps"]  # compiles
        seconds = statistics.median(
            cpu_seconds(lambda: run_llm(scenario, system, requests, replication=0))  # noqa: B023
            for _ in range(options.rounds)
        )
        n = len(requests)
        print(f"| {rate:g} | {steps / n:.1f} | {n / seconds:,.0f} | {steps / seconds:,.0f} |")


if __name__ == "__main__":
    main()
