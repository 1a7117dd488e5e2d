"""One measurement in a fresh process: ``python bench/entrants.py NAME [REQUESTS]`` prints JSON.

An entrant simulates Poisson arrivals and counts the CPU seconds of its simulation alone: imports,
drawing requests, compilation and loading of tables come before the clock starts. Those of
language models serve lognormal prompts and outputs of 400 and 150 tokens on average on
4 replicas at load 0.7; queues are M/M/4 at load 0.7.
"""

from __future__ import annotations

import contextlib
import heapq
import importlib.metadata
import json
import logging
import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

REPLICAS, LOAD = 4, 0.7
PROMPT_MEAN, OUTPUT_MEAN, LONGEST = 400, 150, 3000
#: Step time given to Vidur: fixed, and per token in the batch. [ms]
STEP_FIXED_MS, STEP_PER_TOKEN_MS = 6.0, 0.02
#: What one replica with that step time sustains at 128 sequences, in requests per second.
SATURATION = 55.0


def lengths(n: int) -> Iterator[tuple[int, int]]:
    """Yield prompt and output tokens of `n` requests, cv 1."""
    rng = random.Random(1)  # noqa: S311 - a simulation
    sigma = math.sqrt(math.log(2))
    for _ in range(n):
        prompt, output = (
            round(rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma))
            for mean in (PROMPT_MEAN, OUTPUT_MEAN)
        )
        yield min(LONGEST, max(1, prompt)), min(LONGEST // 4, max(1, output))


def arrivals(n: int, rate: float) -> Iterator[float]:
    """Yield `n` Poisson arrival times."""
    rng = random.Random(2)  # noqa: S311 - a simulation
    now = 0.0
    for _ in range(n):
        now += rng.expovariate(rate)
        yield now


def services(n: int) -> list[float]:
    """Return `n` exponential service times with mean 1."""
    rng = random.Random(3)  # noqa: S311 - a simulation
    return [rng.expovariate(1.0) for _ in range(n)]


def cpu_seconds(run: Callable[[], object]) -> float:
    """Return the CPU seconds of this process that `run` takes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def vidur_tables(layers: int, most: int, grain: int, batch: int) -> dict[str, Any]:
    """Return Vidur's prediction tables with the step time above."""
    tokens = range(1, most + 1)
    contexts = range(0, most + 1, grain)
    per_layer = {(k,): (STEP_FIXED_MS + STEP_PER_TOKEN_MS * k) / layers for k in tokens}
    nothing = {(k,): 0.0 for k in tokens}
    return {
        **dict.fromkeys(
            (
                "attn_pre_proj", "attn_post_proj", "mlp_down_proj", "mlp_act", "attn_rope",
                "attn_kv_cache_save", "input_layernorm", "post_attention_layernorm", "add",
            ),
            nothing,
        ),
        "mlp_up_proj": per_layer,
        "attn_decode": {(b, k): 0.0 for b in range(1, batch + 1) for k in contexts},
        "attn_prefill": {(k, p): 0.0 for k in contexts for p in range(32, most + 1, 32)},
    }  # fmt: skip


def vidur(n: int) -> float:
    """Vidur: event loop, Sarathi scheduler (chunked prefill), its own compiled predictor.

    Its profiles lie on a model hub. Here its tables hold a made-up step time, so that its
    simulation runs, and nothing that would be trained or loaded is counted.
    """
    os.environ["WANDB_MODE"] = "disabled"
    from vidur import config as c
    from vidur.execution_time_predictor import sklearn_execution_time_predictor as predictor
    from vidur.simulator import Simulator

    logging.disable(logging.CRITICAL)
    most, batch = 4096, 128
    tables = vidur_tables(layers=32, most=most, grain=256, batch=batch)
    predictor.SklearnExecutionTimePredictor._load_predictions_from_hf = lambda _: tables  # noqa: SLF001
    trace = Path("lengths.csv")
    rows = [f"{prompt},{output}" for prompt, output in lengths(n)]
    trace.write_text("\n".join(["num_prefill_tokens,num_decode_tokens", *rows]), encoding="utf-8")
    config = c.SimulationConfig(
        log_level="critical",
        cluster_config=c.ClusterConfig(
            num_replicas=REPLICAS,
            replica_config=c.ReplicaConfig(num_pipeline_stages=1, tensor_parallel_size=1),
            replica_scheduler_config=c.SarathiSchedulerConfig(
                chunk_size=2048, batch_size_cap=batch
            ),
        ),
        request_generator_config=c.SyntheticRequestGeneratorConfig(
            length_generator_config=c.TraceRequestLengthGeneratorConfig(
                trace_file=str(trace), max_tokens=most
            ),
            interval_generator_config=c.PoissonRequestIntervalGeneratorConfig(
                qps=LOAD * REPLICAS * SATURATION
            ),
            num_requests=n,
        ),
        execution_time_predictor_config=c.RandomForrestExecutionTimePredictorConfig(
            prediction_max_tokens_per_request=most, use_native_execution_time_predictor=True
        ),
        metrics_config=c.MetricsConfig(enable_chrome_trace=False, store_plots=False),
    )
    return cpu_seconds(Simulator(config).run)


def vllm_sr_sim(n: int) -> float:
    """vllm-sr-sim: one event per request, no steps and no tokens."""
    from fleet_sim import H100_80GB, Fleet, FleetConfig, PoolConfig, Request

    pool = PoolConfig("all", H100_80GB, n_gpus=REPLICAS, max_ctx=8192)
    fleet = Fleet(FleetConfig([pool], router_type="LeastLoadedRouter"))
    times = arrivals(n, LOAD * REPLICAS * SATURATION)
    requests = [
        (now, Request(req_id=i, arrival_time=now, l_in=prompt, l_out=output))
        for i, (now, (prompt, output)) in enumerate(zip(times, lengths(n), strict=True))
    ]
    return cpu_seconds(lambda: fleet.run(requests))


def planner_llm(n: int) -> float:
    """Evaluate bench/million.yaml: traffic, every step of every replica, and all statistics."""
    from planner.evaluate import simulate
    from planner.scenario.reader import load_scenario

    file = Path(__file__).resolve().with_name("million.yaml")
    simulate(load_scenario(file, ["traffic.requests=1000"]))  # compiles
    scenario = load_scenario(file, [f"traffic.requests={n}"])
    return cpu_seconds(lambda: simulate(scenario))


def planner_stages(n: int) -> float:
    """Stages of this project: SimPy callbacks, parts and starts of every request kept."""
    import numpy as np

    from planner.latency.stages import Exponential, Stage, StagePart
    from planner.simulation.stages import run_stages

    stage = Stage(
        name="m/m/4",
        compute=StagePart(time=1.0, degree=4),
        parallel="pool",
        variability=Exponential(),
    )
    times = np.array(list(arrivals(n, LOAD * 4)))
    return cpu_seconds(lambda: run_stages([stage], times, np.random.default_rng(3)))


def simpy_process(n: int) -> float:
    """SimPy as its documentation writes a queue: a process per customer and a Resource."""
    import simpy

    env = simpy.Environment()
    server = simpy.Resource(env, capacity=4)
    waits: list[float] = []

    def customer(service: float) -> Generator[simpy.Event, Any, None]:
        arrival = env.now
        with server.request() as turn:
            yield turn
            waits.append(env.now - arrival)
            yield env.timeout(service)

    def source() -> Generator[simpy.Event, Any, None]:
        for now, service in zip(times, work, strict=True):
            yield env.timeout(now - env.now)
            env.process(customer(service))

    times, work = list(arrivals(n, LOAD * 4)), services(n)
    env.process(source())
    return cpu_seconds(env.run)


def plain_heapq(n: int) -> float:
    """Keep the times at which servers come free in a heap: the floor in plain Python."""
    times, work = list(arrivals(n, LOAD * 4)), services(n)

    def run() -> list[float]:
        free = [0.0] * 4
        waits = []
        for now, service in zip(times, work, strict=True):
            start = max(now, free[0])
            heapq.heapreplace(free, start + service)
            waits.append(start - now)
        return waits

    return cpu_seconds(run)


class Entrant(NamedTuple):
    """What is measured.

    Parameters
    ----------
    run : callable
        Takes the number of requests, returns CPU seconds.
    requests : int
        Requests per run: enough for about a second or more.
    distribution : str
        Distribution whose version is reported; Python's if empty.
    problem : str
        What is simulated; rates of one problem are compared with each other.
    granularity : str
        What one event stands for.
    """

    run: Callable[[int], float]
    requests: int
    distribution: str
    problem: str
    granularity: str


ENTRANTS = {
    "planner": Entrant(planner_llm, 1_000_000, "latency-planner", "LLM", "step"),
    "vidur": Entrant(vidur, 3_000, "vidur", "LLM", "step"),
    "vllm-sr-sim": Entrant(vllm_sr_sim, 50_000, "vllm-sr-sim", "LLM", "request"),
    "planner-stages": Entrant(planner_stages, 200_000, "latency-planner", "M/M/4", "service"),
    "simpy": Entrant(simpy_process, 100_000, "simpy", "M/M/4", "service"),
    "heapq": Entrant(plain_heapq, 1_000_000, "", "M/M/4", "service"),
}


def main() -> None:
    """Run the entrant named on the command line in an empty folder; print what it took."""
    entrant = ENTRANTS[sys.argv[1]]
    n = int(sys.argv[2]) if len(sys.argv) > 2 else entrant.requests
    if entrant.distribution:
        version = importlib.metadata.version(entrant.distribution)
    else:
        version = "Python " + sys.version.split()[0]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        seconds = entrant.run(n)
    print(json.dumps({"requests": n, "cpu_s": seconds, "version": version}))


if __name__ == "__main__":
    main()
